//! For the tests of applications: requests with valid signatures, events without a request, and an endpoint that
//! records requests.
//!
//! **Test events are one of the two named exceptions** to the promise that nothing unauthenticated reaches a handler
//! (the other is `with_insecure_no_verification`): `verified_event` and [`TestDelivery`] create values that otherwise
//! exist only after a check. **Do not enable the feature in production.** Enable it under `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! tower-webhooks = { version = "0.1", features = ["testing"] }
//! ```
//!
//! Rules:
//! 1. A [`SignedRequest`] is signed by the same declaration that verifies it, so it works for every provider and every
//!    declared scheme. It goes through the real layer; no check is skipped.
//! 2. A [`TestDelivery`] skips all checks: it is for a handler that is called as a function.
//! 3. A `TestClaim` (feature `idempotency`) is a claim that records its use, and that a test can make lost.
//! 4. A [`RecordingEndpoint`] is an endpoint for tests of sending.
//! 5. To control the time, pass a [`ManualClock`](crate::clock::ManualClock) to
//!    [`with_clock`](crate::WebhookLayer::with_clock), and its time to [`SignedRequest::at`].
//!
//! This module cannot sign for a [`CustomScheme`](crate::scheme::CustomScheme). Building such a request returns an
//! error that says so.
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
//! use tower::ServiceExt;
//! use tower_webhooks::{
//!     Provider, Secret, VerifiedBody, WebhookLayer,
//!     clock::{Clock, ManualClock},
//!     testing::{SignedRequest, fixtures},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (secret, clock) = (Secret::new("only for this test")?, ManualClock::at_unix_seconds(1_700_000_000));
//! let layer = WebhookLayer::slack(secret.clone()).with_clock(clock.clone());
//! let app: Router = Router::new().route("/", post(|_: VerifiedBody| async {}).layer(layer));
//!
//! let fixture = fixtures::of(Provider::SLACK).ok_or("no fixture")?;
//! let mention = SignedRequest::new(Provider::SLACK, &secret).with_fixture(fixture).at(clock.now());
//! let request: Request<Body> = mention.build();
//! assert_eq!(app.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! clock.advance(Duration::from_secs(301)); // The same request, replayed too late.
//! let request: Request<Body> = mention.build();
//! assert_eq!(app.oneshot(request).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "idempotency")]
mod claim;
mod delivery;
mod endpoint;
#[cfg(feature = "axum")]
mod event;
pub mod fixtures;
mod signed_request;

#[cfg(feature = "idempotency")]
pub use self::claim::TestClaim;
#[cfg(feature = "axum")]
pub use self::event::{verified_envelope, verified_event};
pub use self::{
    delivery::TestDelivery,
    endpoint::{ReceivedRequest, RecordingEndpoint},
    signed_request::SignedRequest,
};
