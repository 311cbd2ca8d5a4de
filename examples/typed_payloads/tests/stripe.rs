//! async-stripe's types, behind a real layer in a real router.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
    routing::post,
};
use serde_json::{Value, json};
use stripe_shared::BankAccount;
use tower::ServiceExt;
use tower_webhooks::{
    EventRouter, Provider, Secret, VerifiedEnvelope, VerifiedEvent, WebhookLayer, testing::SignedRequest,
};

fn secret() -> Secret {
    Secret::new("whsec_only_for_these_tests_of_types_000").expect("the secret is one")
}

fn bank_account() -> Value {
    json!({
        "id": "ba_1", "object": "bank_account", "country": "US", "currency": "usd", "last4": "6789", "status": "new",
        "a_field_of_tomorrow": [1],
    })
}

fn event(event_type: &str, object: Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": event_type, "livemode": false, "created": 1_800_000_000,
        "api_version": "2030-01-01.tomorrow", "pending_webhooks": 1, "request": null, "account": "acct_1",
        "data": { "object": object }, "a_field_of_tomorrow": {},
    })
}

fn thin() -> Value {
    json!({
        "id": "evt_2", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found", "livemode": true,
        "created": "2026-01-01T00:00:00.000Z", "context": "acct_2", "related_object": null,
    })
}

fn request(body: &Value) -> Request<Body> {
    SignedRequest::new(Provider::STRIPE, &secret()).uri("/hook").with_body(body.to_string()).build()
}

fn app<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/hook", post(handler).layer(WebhookLayer::stripe(secret())))
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.expect("a router does not fail");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("the answer is short");
    (status, String::from_utf8(body.to_vec()).expect("the answer is text"))
}

#[tokio::test]
async fn an_object_is_a_payload_and_thin_events_come_to_the_same_route() {
    let app = app(EventRouter::new()
        .on("account.external_account.*", async |event: VerifiedEvent<BankAccount>| {
            format!("{} {} {:?}", event.country, event.last4, event.delivery().account())
        })
        .on("v1.billing.meter.*", async |event: VerifiedEvent<Value>| {
            format!("{} {:?} {:?}", event["object"], event.delivery().mode(), event.delivery().account())
        }));

    let added = event("account.external_account.created", bank_account());
    assert_eq!(answer(&app, request(&added)).await, (200, r#"US 6789 Some("acct_1")"#.to_owned()));
    assert_eq!(answer(&app, request(&thin())).await, (200, r#""v2.core.event" Some(Live) Some("acct_2")"#.to_owned()));
    let mut lacking = bank_account();
    lacking.as_object_mut().expect("it is an object").remove("last4");
    assert_eq!(answer(&app, request(&event("account.external_account.created", lacking))).await.0, 422);
}

#[tokio::test]
async fn the_event_of_async_stripe_is_an_envelope() {
    let app = app(async |event: VerifiedEnvelope<stripe_webhook::Event>| format!("{} {}", event.id, event.type_));

    let added = event("account.external_account.created", bank_account());
    assert_eq!(answer(&app, request(&added)).await, (200, "evt_1 account.external_account.created".to_owned()));
    // An event that this type cannot read is an error, and not lost: an unknown event, and a thin one.
    assert_eq!(answer(&app, request(&event("invented.today", json!({ "object": "invented" })))).await.0, 422);
    assert_eq!(answer(&app, request(&thin())).await.0, 422);
}
