//! Run: cargo run --features testing --example rotate_secrets
//!
//! Changes a secret without losing a delivery: first both secrets are valid, then the old one expires. In an
//! application the secrets come from `Secret::from_env("STRIPE_WEBHOOK_SECRET")?`, and the steps are deployments:
//!
//! 1. Deploy `[new, old]` before you change the secret at the sender.
//! 2. Change the secret at the sender. The index of the secret that matches, in the span `webhook.handle` and in the
//!    counter `webhook_verified_total`, changes from 1 to 0.
//! 3. Deploy `new` alone. This step is not needed if the old secret had an expiry from the start.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    routing::post,
};
use tower::ServiceExt;
use tower_webhooks::{
    BoxError, Delivery, Provider, Secret, Secrets, VerifyError, WebhookLayer,
    clock::{Clock, ManualClock},
    error::HintKind,
    testing::SignedRequest,
};

async fn on_event(delivery: Delivery) -> String {
    match delivery.secret_index() {
        Some(0) => "the new secret".into(),
        _ => "the old secret".into(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (new, old) =
        (Secret::new("whsec_the_new_one_of_this_example")?, Secret::new("whsec_the_old_one_of_this_example")?);
    let clock = ManualClock::at_unix_seconds(1_700_000_000);
    let an_hour_later = clock.now() + Duration::from_secs(60 * 60);

    // `[new.clone(), old.clone()]` would work as well, without an expiry.
    let secrets = Secrets::new(new.clone()).and_until(old.clone(), an_hour_later);
    let layer = WebhookLayer::stripe(secrets).with_clock(clock.clone());
    let app: Router = Router::new().route("/", post(on_event).layer(layer));
    let send = async |request: SignedRequest| {
        let request: Request<Body> = request.at(clock.now()).build();
        app.clone().oneshot(request).await
    };
    let signed_with = |secret: &Secret| SignedRequest::new(Provider::STRIPE, secret);

    // While both are valid, either is accepted, and the handler can see which one matched. During a rotation, a sender
    // may sign with both.
    for (request, expected) in [
        (signed_with(&old), "the old secret"),
        (signed_with(&new), "the new secret"),
        (signed_with(&old).and_secret(&new), "the new secret"),
    ] {
        let answer = to_bytes(send(request).await?.into_body(), 1024).await?;
        assert_eq!(answer, expected);
        println!("during the rotation: {expected}");
    }

    // After its expiry the old secret is not accepted, and the hint in the log says so.
    clock.advance(Duration::from_secs(2 * 60 * 60));
    let response = send(signed_with(&old)).await?;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let error = response.extensions().get::<VerifyError>().ok_or("a refusal says why")?;
    let hint = error.hint().ok_or("it can be guessed")?;
    assert_eq!(hint.kind(), HintKind::ExpiredSecret);
    println!("after it: {error}\n  {hint}");
    assert_eq!(send(signed_with(&new)).await?.status(), StatusCode::OK);
    Ok(())
}
