//! axum extractors for what [`WebhookLayer`](crate::WebhookLayer) has verified.
//!
//! Rules:
//! 1. They read what the layer left in the request, so that they may stand anywhere among a handler's arguments, beside
//!    `Bytes` or `Json`, and be taken twice.
//! 2. Without a layer on the route they answer 500, and the log names the fix. They never hand out anything unverified.
//! 3. A verified body that is not JSON is 400; JSON that does not fit the type is 422; a form that the scheme does not declare
//!    is 415. Path and message go to the operator, not to the network, and hold no values of the payload.
//! 4. An enum is an enum over event types: its variants' names are patterns, as in
//!    [`EventRouter`](crate::EventRouter), and their content is the payload. Where no variant fits, the sender is told that
//!    the event is done. `*` is the catch-all, and `#[serde(other)]` is one without content.
//! 5. A form is read as JSON is, where the scheme says how: see [`Form`](crate::scheme::Form).
//!
//! What this module does not do: verify.
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
//! use tower::ServiceExt;
//! use tower_webhooks::{Secret, VerifiedEvent, WebhookLayer};
//!
//! #[derive(serde::Deserialize)]
//! struct Push {
//!     after: String,
//! }
//!
//! async fn on_push(event: VerifiedEvent<Push>) -> String {
//!     format!("{} at {}", event.delivery().event_type().map_or("?", |kind| kind.as_str()), event.after)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?);
//! let app: Router = Router::new().route("/hook", post(on_push).layer(layer));
//! let request = |signature: &str| {
//!     Request::post("/hook")
//!         .header("x-github-event", "push")
//!         .header("x-hub-signature-256", signature)
//!         .body(Body::from(r#"{"after":"6113728f"}"#))
//! };
//!
//! let signature = "sha256=79d05e5daf6587e2999e63e1b635231ed427224692205bddcba35e4038036268";
//! let accepted = app.clone().oneshot(request(signature)?).await?;
//! assert_eq!(accepted.status(), StatusCode::OK);
//!
//! let rejected = app.oneshot(request("sha256=0000")?).await?;
//! assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "idempotency")]
mod claim;
mod delivery;
mod event_enum;
mod outcome;
mod parse;
mod raw_event;
mod rejection;
mod verified_body;
mod verified_envelope;
mod verified_event;

pub use self::{
    raw_event::RawEvent,
    rejection::{EventRejection, EventRejectionKind},
    verified_body::VerifiedBody,
    verified_envelope::VerifiedEnvelope,
    verified_event::VerifiedEvent,
};
