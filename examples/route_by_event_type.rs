//! Run: cargo run --features testing --example route_by_event_type
//!
//! Shows two ways to handle each event type differently: an `EventRouter` of ordinary handlers, and an enum for one
//! handler. Both support names such as `invoice.paid`, groups such as `customer.*`, and `*`. An event type that no
//! handler wants is answered with a success, so that the sender does not retry.
//!
//! To test your own server, use the Stripe CLI: `stripe trigger invoice.paid`. This request is rejected with 401:
//!
//!     curl -i http://127.0.0.1:3000/webhooks/stripe -d '{"type":"invoice.paid"}'

#![allow(clippy::print_stdout)] // An example prints its results.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::Request,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    BoxError, Delivery, EventRouter, Provider, RawEvent, Secret, VerifiedEvent, WebhookLayer, testing::SignedRequest,
};

#[derive(Deserialize)]
struct Invoice {
    amount_paid: u64,
}

#[derive(Deserialize)]
struct Customer {
    email: String,
}

// A handler for each type. They are ordinary handlers, with state and any extractors.

async fn paid(State(currency): State<&'static str>, invoice: VerifiedEvent<Invoice>) -> String {
    format!("paid {} {currency}", invoice.amount_paid)
}

async fn customer(delivery: Delivery, customer: VerifiedEvent<Customer>) -> String {
    format!("{} for {}", delivery.event_type().map_or("?", |kind| kind.as_str()), customer.email)
}

fn router() -> EventRouter<&'static str> {
    EventRouter::new()
        .on("invoice.paid", paid)
        .on("customer.*", customer)
        // Version 2024 had the amount in another place.
        .upcast("invoice.paid", "2024", "2025", |old| Ok(json!({ "amount_paid": old["paid"]["amount"] })))
}

// One handler that takes an enum with a variant for each type.

#[derive(Deserialize)]
enum StripeEvent {
    #[serde(rename = "invoice.paid")]
    Paid(Invoice),
    #[serde(rename = "customer.*")]
    Customer(RawEvent),
    #[serde(rename = "*")]
    Other,
}

async fn on_event(event: VerifiedEvent<StripeEvent>) -> String {
    match event.into_inner() {
        StripeEvent::Paid(invoice) => format!("paid {}", invoice.amount_paid),
        StripeEvent::Customer(raw) => format!("something about a customer: {}", raw.event_type()),
        StripeEvent::Other => "nothing to do".into(),
    }
}

fn app(secret: &Secret) -> Router {
    let layer = || WebhookLayer::stripe(secret.clone());
    Router::new()
        .route("/routed", post(router()).layer(layer()))
        .route("/enum", post(on_event).layer(layer()))
        .with_state("eur")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let secret = Secret::new("whsec_only_for_this_example")?;
    let app = app(&secret);
    let event = |kind: &str, payload: Value| SignedRequest::new(Provider::STRIPE, &secret).with_event(kind, payload);
    let invoice = event("invoice.paid", json!({ "amount_paid": 4200 }));
    let old = event("invoice.paid", json!({ "paid": { "amount": 7 } })).with_api_version("2024");
    let customer = event("customer.created", json!({ "email": "ada@example.com" }));
    let charge = event("charge.failed", json!({}));

    for (path, request, expected) in [
        ("/routed", &invoice, "paid 4200 eur"),
        ("/routed", &old, "paid 7 eur"),
        ("/routed", &customer, "customer.created for ada@example.com"),
        ("/routed", &charge, r#"{"status":"unhandled"}"#),
        ("/enum", &invoice, "paid 4200"),
        ("/enum", &customer, "something about a customer: customer.created"),
        ("/enum", &charge, "nothing to do"),
    ] {
        let request: Request<Body> = request.clone().uri(path).build();
        let response = app.clone().oneshot(request).await?;
        let answer = String::from_utf8(to_bytes(response.into_body(), 1024).await?.to_vec())?;
        println!("{path:8} {answer}");
        assert_eq!(answer, expected);
    }
    Ok(())
}
