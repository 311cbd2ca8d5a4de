//! Event types to ordinary axum handlers.
//!
//! Rules:
//! 1. A handler is chosen by the event type: its exact name, else the longest `prefix.*`, else `*`, else the fallback. GitHub's
//!    types are `issues.opened`, and are matched by `issues` too.
//! 2. A type that nobody handles is a success, so that its sender does not repeat it for days; the log says so at debug level.
//! 3. Registering one pattern twice panics at start, as axum's `Router` does.
//! 4. A handler may be registered for some API versions only, and older payloads may be turned into newer ones before any
//!    handler sees them.
//!
//! What this module does not do: verify, or parse. The layer does the one, the handlers' extractors the other.
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
