//! A day of deliveries of two invented customers, and a few events of Stripe and GitHub, as content for the dashboard.

#[path = "sign.rs"]
mod sign;

use std::{error::Error, time::Duration};

use axum::{Router, body::Body, http::Request};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    clock::{Clock, ClockOffset, SystemClock},
    send::{
        After, Dispatcher, Endpoint, EventTypeDefinition, Finish, LeaseRequest, LeaseToken, Message, NewEndpoint,
        OutboxStore,
    },
};

type BoxError = Box<dyn Error + Send + Sync>;

/// The length of the invented day, in hours. The store's clock starts this long ago.
pub(crate) const HOURS: u32 = 24;

/// Registers endpoints and makes a day of attempts, hour by hour, on a store whose clock is in the past by [`HOURS`].
pub(crate) async fn fill(webhooks: &Dispatcher, store: &impl OutboxStore, clock: &ClockOffset) -> Result<(), BoxError> {
    let catalogue = [
        ("order.created", "A customer has placed an order."),
        ("order.completed", "An order was paid and packed."),
        ("invoice.paid", "An invoice was paid in full."),
        ("user.created", "Somebody has signed up."),
    ];
    let entries = catalogue.map(|(name, text)| {
        let example = json!({ "order": 1000, "total": "129.90", "currency": "EUR" }).to_string();
        Ok(EventTypeDefinition::new(name)?.description(text)?.version("2026-06")?.example(example)?)
    });
    webhooks.event_types().put(entries.into_iter().collect::<Result<Vec<_>, BoxError>>()?).await?;
    for (tenant, url, events, description) in [
        ("acme", "https://shop.example.com/webhooks", "*", "Shop system"),
        ("acme", "https://crm.example.net/hooks/orders", "order.*", "CRM"),
        ("acme", "https://ledger.example.org/webhook", "invoice.*", "Ledger, which is down now and then"),
        ("globex", "https://globex.example.com/events", "*", "Data warehouse"),
    ] {
        let endpoint = NewEndpoint::new(url)?.tenant(tenant).events([events]).description(description);
        let endpoint = endpoint.metadata([("plan", if tenant == "acme" { "pro" } else { "enterprise" })]);
        webhooks.endpoints().create(endpoint).await?;
    }
    let staging =
        NewEndpoint::new("https://staging.example.com/hook")?.tenant("acme").events(["user.*"]).description("Staging");
    let staging = webhooks.endpoints().create(staging).await?.endpoint().id();
    webhooks.endpoints().disable(staging).await?;

    let mut dice = 7;
    for hour in 0..HOURS {
        // More in the daytime than at night.
        let messages = 2 + (hour % 12).min(12 - hour % 12);
        for number in 0..messages {
            let (event_type, _) = catalogue[roll(&mut dice, 4) as usize];
            let tenant = if number % 4 == 3 { "globex" } else { "acme" };
            let data = json!({ "order": 1000 + hour * 20 + number, "total": "129.90", "currency": "EUR", "customer": { "name": "Ada Lovelace" } });
            webhooks.dispatch(Message::new(event_type, &data)?.tenant(tenant)).await?;
        }
        // As a worker does once a minute.
        store.sample_backlog().await?;
        work(store).await?;
        clock.advance(Duration::from_secs(3600));
    }
    Ok(())
}

/// Sends events like Stripe and GitHub to `/webhooks/in/stripe` and `/webhooks/in/github`: two invoices lack their
/// amount.
pub(crate) async fn receive(app: &Router, stripe: &str, github: &str) -> Result<(), BoxError> {
    for number in 1..=6 {
        let mut invoice = json!({ "id": format!("in_{number}"), "customer": "cus_1", "amount_paid": 12_990 });
        if number % 3 == 0 {
            invoice["amount_paid"] = Value::Null;
        }
        send(app, of_stripe(stripe, &format!("evt_{number}"), "invoice.paid", &invoice)?).await?;
    }
    for number in 1..=3 {
        let body =
            json!({ "ref": "refs/heads/main", "after": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d", "number": number })
                .to_string();
        let request = Request::post("/webhooks/in/github")
            .header("user-agent", "GitHub-Hookshot/044aadd")
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", format!("0b1c2d3e-0000-4000-8000-00000000000{number}"))
            .header("x-hub-signature-256", sign::github(github, &body));
        send(app, request.body(Body::from(body))?).await?;
    }
    let dispute = json!({ "id": "dp_1", "amount": 12_990, "reason": "fraudulent" });
    send(app, of_stripe(stripe, "evt_7", "charge.dispute.created", &dispute)?).await
}

/// An event as Stripe sends it.
pub(crate) fn of_stripe(secret: &str, id: &str, event_type: &str, object: &Value) -> Result<Request<Body>, BoxError> {
    let now = SystemClock.now();
    let body = json!({
        "id": id, "object": "event", "type": event_type, "created": sign::unix_seconds(now), "livemode": true, "data": { "object": object },
    })
    .to_string();
    let request = Request::post("/webhooks/in/stripe")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", sign::stripe(secret, now, &body));
    Ok(request.body(Body::from(body))?)
}

/// Sends a request and expects that it is accepted.
pub(crate) async fn send(app: &Router, request: Request<Body>) -> Result<(), BoxError> {
    let status = app.clone().oneshot(request).await?.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered {status}").into()) }
}

/// Plays the worker for all due deliveries.
async fn work(store: &impl OutboxStore) -> Result<(), BoxError> {
    loop {
        let token = LeaseToken::random()?;
        let leased = store.lease(LeaseRequest::new(token, Duration::from_secs(60), 64)).await?.deliveries;
        if leased.is_empty() {
            return Ok(());
        }
        for delivery in leased {
            // Deliveries are leased in any order, so each has its own random numbers.
            let of_its_own =
                [delivery.endpoint.settings.url.as_bytes(), delivery.message.payload().get().as_bytes()].concat();
            let mut dice = of_its_own
                .iter()
                .fold(delivery.round_attempt, |dice, byte| (dice ^ u32::from(*byte)).wrapping_mul(16_777_619));
            let is_ledger = delivery.endpoint.settings.url.contains("ledger");
            let fails = roll(&mut dice, 100) < if is_ledger { 45 } else { 4 };
            let last = delivery.round_attempt >= 3;
            let wait = Duration::from_secs(if delivery.round_attempt == 1 { 300 } else { 1800 });
            let mut finish = Finish::new(match fails {
                false => After::Delivered,
                true if last => After::Exhausted,
                true => After::Retry { wait },
            });
            finish.status = Some(if fails { 503 } else { 200 });
            finish.error = fails.then_some("status");
            finish.duration = Duration::from_millis(u64::from(if fails {
                900 + roll(&mut dice, 2400)
            } else {
                30 + roll(&mut dice, 90) * roll(&mut dice, 4)
            }));
            finish.answer = if fails { "upstream connect error".into() } else { r#"{"received":true}"#.into() };
            let _ = store.finish(delivery.id, token, finish).await?;
        }
    }
}

/// Random numbers that are the same in each run.
fn roll(dice: &mut u32, sides: u32) -> u32 {
    *dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*dice >> 16) % sides
}

/// Whether an endpoint is one of the invented ones.
#[allow(dead_code)]
pub(crate) fn is_made_up(endpoint: &Endpoint) -> bool {
    endpoint.url().contains(".example.")
}
