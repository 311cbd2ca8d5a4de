//! axum extractors for what [`WebhookLayer`](crate::WebhookLayer) has verified.
//!
//! Rules:
//! 1. Extractors read the verified delivery from the request's extensions. So they can be any of a handler's arguments,
//!    together with `Bytes` or `Json`, and can be used twice.
//! 2. Without a layer on the route they answer with 500, and the log says what to add. They never return unverified
//!    data.
//! 3. A verified body that is not JSON is 400; JSON that does not fit the type is 422; a form that the scheme does not
//!    declare is 415. The path and the message are for the operator, not for the network, and contain no values of the
//!    payload.
//! 4. An enum is an enum over event types: its variants' names are patterns, as in [`EventRouter`](crate::EventRouter),
//!    and their content is the payload. If no variant matches, the sender receives a success. `*` matches every type,
//!    and `#[serde(other)]` does so without content.
//! 5. A form is read like JSON if the scheme declares it: see [`Form`](crate::scheme::Form).
//!
//! This module does not verify anything; the layer does.
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
