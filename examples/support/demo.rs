//! A day of deliveries of two made-up customers, for a dashboard that has something to show.

use std::{error::Error, time::Duration};

use serde_json::json;
use tower_webhooks::{
    clock::ClockOffset,
    send::{
        After, Dispatcher, Endpoint, EventTypeDefinition, Finish, LeaseRequest, LeaseToken, Message, NewEndpoint,
        OutboxStore,
    },
};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long the made-up day is, in hours. The store's clock begins as much in the past.
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
        // More by day than by night.
        let messages = 2 + (hour % 12).min(12 - hour % 12);
        for number in 0..messages {
            let (event_type, _) = catalogue[roll(&mut dice, 4) as usize];
            let tenant = if number % 4 == 3 { "globex" } else { "acme" };
            let data = json!({ "order": 1000 + hour * 20 + number, "total": "129.90", "currency": "EUR", "customer": { "name": "Ada Lovelace" } });
            webhooks.dispatch(Message::new(event_type, &data)?.tenant(tenant)).await?;
        }
        work(store).await?;
        clock.advance(Duration::from_secs(3600));
    }
    Ok(())
}

/// Plays the worker for all that is due.
async fn work(store: &impl OutboxStore) -> Result<(), BoxError> {
    loop {
        let token = LeaseToken::random()?;
        let leased = store.lease(LeaseRequest::new(token, Duration::from_secs(60), 64)).await?.deliveries;
        if leased.is_empty() {
            return Ok(());
        }
        for delivery in leased {
            // Deliveries are leased in any order, so each has dice of its own.
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

/// The same numbers every time.
fn roll(dice: &mut u32, sides: u32) -> u32 {
    *dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*dice >> 16) % sides
}

/// Whether an endpoint is one of those that were made up.
#[allow(dead_code)]
pub(crate) fn is_made_up(endpoint: &Endpoint) -> bool {
    endpoint.url().contains(".example.")
}
