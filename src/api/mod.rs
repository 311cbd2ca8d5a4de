//! The management API: an [`axum::Router`] with which customers register and manage their endpoints, and operators
//! inspect, resend and replay what is sent and what waits in an inbox. The application nests it at a path of its
//! choice.
//!
//! Rules:
//! 1. A request is served only if [`Authorize`] has allowed it, which is required. Only `GET /openapi.json` is open: it
//!    describes the API and shows no data.
//! 2. A handler sees only the tenant that `Authorize` has named. Ids of other tenants are answered like ids that do not
//!    exist: 404.
//! 3. Only the answer to the request that creates a secret contains it, with `Cache-Control: no-store`.
//! 4. Every error is a problem document (RFC 9457) that names the field by its JSON pointer and says what is valid. The
//!    causes of internal errors are in the log, and not in the answer.
//! 5. A write needs `Content-Type: application/json`, and is rejected if the browser says that a page of another site
//!    sends it. So a session cookie is safe for authentication.
//! 6. A write that has begun runs to its end, even if its client disconnects.
//! 7. Unknown fields and query parameters are rejected.
//! 8. Payloads, answers and received requests are shown after the application's [redaction](Api::with_redaction), if it has one.
//! 9. The owners of one tenant may call 100 times in a second, or as often as [`Api::with_rate_limit`] says.
//!
//! The API does not authenticate callers, terminate TLS, or limit the rate of requests that `Authorize` rejects.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, http::{Request, StatusCode, header::AUTHORIZATION, request::Parts}};
//! use tower::ServiceExt;
//! use tower_webhooks::{api::{self, Access}, send::Dispatcher, store::MemoryOutbox};
//!
//! let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
//!
//! // An API key for each tenant; a real application looks it up by its hash.
//! let authorize = |head: Parts| async move {
//!     match head.headers.get(AUTHORIZATION).map(|value| value.as_bytes()) {
//!         Some(b"Bearer key-of-acme") => Ok(Access::owner("acme")),
//!         _ => Err(StatusCode::UNAUTHORIZED),
//!     }
//! };
//! let app: Router = Router::new().nest("/api/webhooks", api::router(webhooks, authorize));
//!
//! let list = || Request::get("/api/webhooks/endpoints");
//! let answer = app.clone().oneshot(list().header(AUTHORIZATION, "Bearer key-of-acme").body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let answer = app.oneshot(list().body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! # Ok(()) }
//! ```
//!
//! Without `authorize` it does not compile:
//!
//! ```compile_fail,E0061
//! # fn app(webhooks: tower_webhooks::send::Dispatcher) -> axum::Router {
//! tower_webhooks::api::router(webhooks)
//! # }
//! ```

mod access;
mod answer;
mod config;
mod deliveries;
mod document;
mod endpoints;
mod event_types;
mod health;
mod inbox;
pub(crate) mod inboxes;
pub(crate) mod input;
mod limits;
mod messages;
mod metadata;
mod problem;
mod query;
mod repeat;
pub(crate) mod shown;
mod stats;
mod tag;
mod tenants;
pub(crate) mod unread;
mod write;

pub use self::{
    access::{Access, Authorize, Role},
    config::Api,
    health::{Health, HealthLimits, health},
};
use crate::send::Dispatcher;

/// Creates the router of the management API with its defaults. [`Api`] has the options.
///
/// # Examples
/// See the [module](self).
pub fn router<S>(webhooks: Dispatcher, authorize: impl Authorize) -> axum::Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Api::new(webhooks, authorize).router()
}
