//! The middleware that rejects every unauthenticated request.
//!
//! Rules:
//! 1. The order is fixed: method, unsigned handshake, head checks, secrets, body, comparison, signed handshake, metadata,
//!    inner service. A request that fails a check of its head is rejected before one byte of its body is kept; the body is read
//!    and dropped, so that the answer arrives.
//! 2. The body is limited in size and in time, and hashed as it arrives. Memory is not allocated because of
//!    `Content-Length` alone.
//! 3. Every rejection is a response with a status and one fixed line. The reason is for the operator: it is in the
//!    response's extensions as a [`VerifyError`](crate::VerifyError), and in one log event.
//! 4. Errors of the inner service pass through unchanged; its panic is answered with 500 instead of closing the
//!    connection.
//! 5. This module does not depend on axum, and works in any tower stack.
//!
//! This module does not parse the body; the extractors do.
//!
//! ```
//! use axum::{Router, body::{Body, Bytes}, http::{Request, StatusCode}, routing::post};
//! use tower::ServiceExt;
//! use tower_webhooks::{Secret, WebhookLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?);
//! let app: Router = Router::new().route("/hook", post(|body: Bytes| async move { body }).layer(layer));
//!
//! // The example of GitHub's documentation, "Validating webhook deliveries".
//! let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! let request = |body: &'static str| Request::post("/hook").header("x-hub-signature-256", signature).body(Body::from(body));
//!
//! let accepted = app.clone().oneshot(request("Hello, World!")?).await?;
//! assert_eq!(accepted.status(), StatusCode::OK);
//!
//! let rejected = app.oneshot(request("Hello, World?")?).await?;
//! assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod batch;
mod body;
mod budget;
mod config;
mod future;
mod layer;
mod look_up;
mod pieces;
mod providers;
mod read;
mod rejection;
mod service;
mod state;
mod steps;
mod verified;

#[cfg(feature = "axum")]
pub(crate) use self::verified::Undecoded;
#[cfg(any(feature = "axum", feature = "idempotency"))]
pub(crate) use self::verified::{Acknowledged, Verified};
#[cfg(feature = "inbox")]
pub(crate) use self::verified::{BatchItem, stored_request};
pub use self::{
    body::ResponseBody, future::ResponseFuture, layer::WebhookLayer, service::Webhook, verified::verified_delivery,
};
