//! Run: cargo run --features testing --example test_a_handler
//!
//! An application with one handler, and its tests: the handler as a function, the route with signed requests, a replay
//! with a clock that the test sets, and a duplicate. In your project they are `#[test]`s, and the feature `testing` is
//! only enabled under `[dev-dependencies]`.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;
use tower::ServiceExt;
use tower_webhooks::{
    BoxError, Claim, Discard, Provider, Secret, VerifiedEvent, WebhookLayer,
    clock::{Clock, ManualClock},
    store::MemoryStore,
    testing::{SignedRequest, TestClaim, TestDelivery, fixtures, verified_event},
};

// The application.

#[derive(Deserialize)]
struct Invoice {
    amount_paid: u64,
}

async fn on_invoice(claim: Claim, invoice: VerifiedEvent<Invoice>) -> Result<String, Discard> {
    if invoice.amount_paid == 0 {
        return Err(Discard::new("nothing was paid"));
    }
    let tenant = invoice.delivery().tenant().unwrap_or("us");
    Ok(format!("{} paid to {tenant} in attempt {}", invoice.amount_paid, claim.attempt()))
}

fn app(secret: &Secret, clock: impl Clock) -> Router {
    let layer = WebhookLayer::stripe(secret.clone()).with_clock(clock).with_idempotency(MemoryStore::new());
    Router::new().route("/webhooks/stripe", post(on_invoice).layer(layer))
}

// Its tests.

/// The handler is a function and can be called directly, without a request and a signature.
async fn the_handler_alone() -> Result<(), BoxError> {
    let claim = TestClaim::of_attempt(2);
    let event = TestDelivery::new().tenant("acme").event_type("invoice.paid").event(Invoice { amount_paid: 4200 });
    assert_eq!(on_invoice(claim.claim(), event).await?, "4200 paid to acme in attempt 2");

    let discarded = on_invoice(claim.claim(), verified_event(Invoice { amount_paid: 0 })).await;
    assert!(discarded.is_err_and(|discard| discard.reason() == "nothing was paid"));
    Ok(())
}

async fn send(app: &Router, request: &SignedRequest) -> Result<StatusCode, BoxError> {
    let request: Request<Body> = request.build();
    Ok(app.clone().oneshot(request).await?.status())
}

/// The route with its layer: the signature is checked as in production.
async fn the_route() -> Result<(), BoxError> {
    let (secret, clock) = (Secret::new("whsec_only_for_the_tests")?, ManualClock::at_unix_seconds(1_700_000_000));
    let app = app(&secret, clock.clone());
    let request = || SignedRequest::new(Provider::STRIPE, &secret).uri("/webhooks/stripe").at(clock.now());
    let invoice = request().with_event("invoice.paid", json!({ "amount_paid": 4200 }));

    assert_eq!(send(&app, &invoice).await?, StatusCode::OK);
    assert_eq!(send(&app, &invoice.clone().tampered()).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(
        send(&app, &invoice.clone().with_secret(&Secret::new("somebody else's")?)).await?,
        StatusCode::UNAUTHORIZED
    );

    // A body as Stripe sends it.
    let fixture = fixtures::of(Provider::STRIPE).ok_or("there is a fixture for Stripe")?;
    assert_eq!(send(&app, &request().with_fixture(fixture)).await?, StatusCode::OK);

    // Verified, but the payload does not fit the handler's type.
    assert_eq!(send(&app, &request().with_event("invoice.paid", json!({}))).await?, StatusCode::UNPROCESSABLE_ENTITY);

    // Built again, it is the same delivery: the duplicate is answered without running the handler.
    let duplicate: Request<Body> = invoice.build();
    let response = app.clone().oneshot(duplicate).await?;
    assert_eq!((response.status(), response.headers().contains_key("idempotent-replayed")), (StatusCode::OK, true));

    // Five minutes and a second later it is a replay.
    clock.advance(Duration::from_secs(301));
    assert_eq!(send(&app, &invoice).await?, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    the_handler_alone().await?;
    the_route().await?;
    println!("The handler and its route do what they should.");
    Ok(())
}
