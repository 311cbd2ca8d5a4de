//! The management API: an [`axum::Router`] with which customers register and manage their endpoints, and operators see and
//! mend what is sent and what waits in an inbox. The application nests it where it likes.
//!
//! Rules:
//! 1. No request is served that [`Authorize`] has not allowed. There is no router without it. `GET /openapi.json` alone is
//!    open: it describes the API and nothing else.
//! 2. A handler sees the tenant that `Authorize` named and no other. Ids of other tenants are answered like ids that do not
//!    exist: 404.
//! 3. A secret is in the answer of the request that made it, and in no other, with `Cache-Control: no-store`.
//! 4. Every error is a problem document (RFC 9457) that names the field by JSON pointer and says what would be right. What
//!    failed inside is in the log, and not in the answer.
//! 5. A write needs `Content-Type: application/json`, and is rejected when the browser says that a page of another site makes
//!    it. So the router is safe behind a session cookie.
//! 6. A write runs to its end once it has begun, whether or not its client waits for the answer.
//! 7. Fields and query parameters that the API does not know are rejected.
//! 8. Payloads, answers and received requests are shown after the application's [redaction](Api::with_redaction), if it has one.
//! 9. The owners of one tenant may call 100 times in a second, or as often as [`Api::with_rate_limit`] says.
//!
//! It does not authenticate anybody, terminate TLS, or limit how often requests may come that `Authorize` rejects.
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
mod caller;
mod config;
mod deliveries;
mod document;
mod endpoints;
mod event_types;
mod gate;
mod health;
mod inbox;
pub(crate) mod inboxes;
pub(crate) mod input;
mod limits;
mod messages;
mod metadata;
mod parameters;
mod problem;
mod query;
mod repeat;
mod shared;
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

/// Creates the router of the management API with its defaults: [`Api`] has its options.
///
/// # Examples
/// See the [module](self).
pub fn router<S>(webhooks: Dispatcher, authorize: impl Authorize) -> axum::Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Api::new(webhooks, authorize).router()
}
