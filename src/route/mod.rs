//! Routing of events to ordinary axum handlers, by event type.
//!
//! Rules:
//! 1. The event type chooses the handler: first its exact name, then the longest `prefix.*`, then `*`, then the
//!    fallback. GitHub's types have the form `issues.opened`, and `issues` matches them too.
//! 2. An event type that no handler wants is answered with a success, so that its sender does not retry for days; it is
//!    logged at debug level.
//! 3. Registering one pattern twice panics at start, as axum's `Router` does.
//! 4. A handler can be registered for certain API versions, and older payloads can be converted to newer ones before a
//!    handler sees them.
//!
//! This module neither verifies nor parses: the layer verifies, and the handlers' extractors parse.
//!
//! ```
//! use axum::{Router, body::Body, extract::State, http::{Request, StatusCode}, routing::post};
//! use tower::ServiceExt;
//! use tower_webhooks::{Delivery, EventRouter, Secret, WebhookLayer};
//!
//! async fn ping(State(name): State<&'static str>) -> String {
//!     format!("pong from {name}")
//! }
//!
//! async fn issue(delivery: Delivery) -> String {
//!     delivery.event_type().map(ToString::to_string).unwrap_or_default()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let events = EventRouter::new().on("ping", ping).on("issues.*", issue);
//! let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?);
//! let app = Router::new().route("/hook", post(events).layer(layer)).with_state("us");
//!
//! let request = |event: &str, signature: &str| {
//!     Request::post("/hook").header("x-github-event", event).header("x-hub-signature-256", format!("sha256={signature}"))
//!         .body(Body::from(r#"{"zen":"Keep it simple."}"#))
//! };
//! let right = "5953c9925783375d303fcdedc048a559b7ecd3e439d806a193269f065a310a45";
//!
//! let pong = app.clone().oneshot(request("ping", right)?).await?;
//! assert_eq!(axum::body::to_bytes(pong.into_body(), 100).await?, "pong from us");
//! assert_eq!(app.clone().oneshot(request("star", right)?).await?.status(), StatusCode::OK); // nobody handles it
//! assert_eq!(app.oneshot(request("ping", "00")?).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod handler;
mod router;
mod upcast;

pub use self::router::EventRouter;
