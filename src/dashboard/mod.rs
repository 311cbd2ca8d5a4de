//! The dashboard: pages on which operators see what is sent and repair it, and customers see what became of theirs. An [`axum::Router`]
//! that the application nests where it likes.
//!
//! Rules:
//! 1. No page is served that [`Authorize`] has not allowed; it is that of the management API. What another tenant has
//!    looks like what does not exist.
//! 2. An owner reads, and changes nothing: it is the view of a customer. An operator may change what the pages offer.
//! 3. What comes from outside (URLs, payloads, answers, names) is escaped by the templates, in all places. The pages load nothing from
//!    other hosts, and the `Content-Security-Policy` allows neither inline scripts nor inline styles.
//! 4. A change is a POST that a page of this origin has sent; others are rejected.
//! 5. Everything works without script. With it the figures stay fresh.
//! 6. A secret is on the page that answers the rotation, and on no other.
//!
//! It does not log anybody in. Behind a session cookie, set the cookie's `SameSite` anyway.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, http::{Request, StatusCode, header::COOKIE, request::Parts}};
//! use tower::ServiceExt;
//! use tower_webhooks::{api::Access, dashboard, send::Dispatcher, store::MemoryOutbox};
//!
//! let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
//! let authorize = |head: Parts| async move {
//!     match head.headers.get(COOKIE).map(|value| value.as_bytes()) {
//!         Some(b"session=of-staff") => Ok(Access::operator()),
//!         _ => Err(StatusCode::UNAUTHORIZED), // or a redirect to the login
//!     }
//! };
//! let app: Router = Router::new().nest("/webhooks", dashboard::router(webhooks, authorize));
//!
//! let open = || Request::get("/webhooks");
//! let answer = app.clone().oneshot(open().header(COOKIE, "session=of-staff").body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let answer = app.oneshot(open().body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! # Ok(()) }
//! ```

mod assets;
mod chart;
mod deliveries;
mod endpoints;
mod event_types;
mod form;
mod guard;
mod overview;
mod page;
mod text;

use std::sync::Arc;

use axum::{
    Router, middleware,
    response::IntoResponse,
    routing::{get, post},
};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use self::page::Fault;
use crate::{
    api::{Authorize, unread},
    send::Dispatcher,
};

/// What every request needs.
struct Shared {
    webhooks: Dispatcher,
    authorize: Box<dyn Authorize>,
}

/// Creates the router of the dashboard. `authorize` decides who each request comes from, as for the management API: an owner of a tenant
/// sees the tenant's pages and changes nothing, an operator sees and repairs what its access is about.
///
/// Nest it at a path of its own; the pages find out where that is. A proxy in front must not cut the path, and must pass `Host` and `Origin`
/// on unchanged.
///
/// # Examples
/// See the [module](self).
pub fn router<S>(webhooks: Dispatcher, authorize: impl Authorize) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let shared = Arc::new(Shared { webhooks, authorize: Box::new(authorize) });
    Router::new()
        .route("/", get(overview::show))
        .route("/endpoints", get(endpoints::list))
        .route("/endpoints/{id}", get(endpoints::show))
        .route("/endpoints/{id}/disable", post(endpoints::disable))
        .route("/endpoints/{id}/enable", post(endpoints::enable))
        .route("/endpoints/{id}/ping", post(endpoints::ping))
        .route("/endpoints/{id}/recover", post(endpoints::recover))
        .route("/endpoints/{id}/rotate-secret", post(endpoints::rotate_secret))
        .route("/endpoints/{id}/send-example", post(endpoints::send_example))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/cancel", post(deliveries::cancel))
        .route("/deliveries/{id}/resend", post(deliveries::resend))
        .route("/event-types", get(event_types::list))
        .fallback(|| async { Fault::not_found("page") })
        .method_not_allowed_fallback(|| async { Fault::method() })
        // The last one added is the first one asked.
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .layer(CsrfLayer::new().with_rejection_response(|_: ProtectionError| guard::cross_site().into_response()))
        .merge(assets::routes())
        .layer(middleware::from_fn(unread::drop_rest))
        .with_state(shared)
}
