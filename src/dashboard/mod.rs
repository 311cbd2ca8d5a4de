//! The dashboard: pages on which operators inspect, resend and replay what is sent and what waits in an inbox, and on
//! which customers see the state of their endpoints. It is an [`axum::Router`] that the application nests at a path of
//! its choice.
//!
//! Rules:
//! 1. A page is served only if [`Authorize`] has allowed it; the trait is that of the management API. The data of other
//!    tenants look as if they did not exist.
//! 2. An owner (the view of a customer) can read, and cannot change anything. An operator can use all actions.
//! 3. The templates escape everything that comes from other parties: URLs, payloads, headers, answers, names. The pages
//!    load nothing from other hosts, and the `Content-Security-Policy` allows neither inline scripts nor inline styles.
//! 4. A change is a POST from a page of this origin; others are rejected.
//! 5. Everything works without JavaScript. With it, the figures are refreshed.
//! 6. Payloads, answers and received requests are shown after the application's [redaction](Dashboard::with_redaction), if it has one.
//! 7. A new secret is shown only on the page that answers its rotation.
//!
//! The dashboard has no login of its own. If you use a session cookie, set its `SameSite` in addition.
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
mod backlog;
mod chart;
mod deliveries;
mod endpoints;
mod event_types;
mod form;
mod guard;
mod inbox;
mod overview;
mod fault;
mod page;
mod reader;
mod shared;
mod text;

use std::{fmt, sync::Arc};

use axum::{
    Router, middleware,
    response::IntoResponse,
    routing::{get, post},
};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use self::{
    fault::Fault,
    shared::{Everything, Gate, Offers, Received, Shared},
};
use crate::{
    api::{Authorize, inboxes::Inboxes, unread},
    error::ConfigError,
    inbox::Inbox,
    redaction::Redaction,
    send::Dispatcher,
};

/// Creates the router of the dashboard over what is sent: [`Dashboard`] also has pages of an inbox.
///
/// # Examples
/// See the [module](self).
pub fn router<S>(webhooks: Dispatcher, authorize: impl Authorize) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Dashboard::new(webhooks, authorize).router()
}

/// The dashboard for sending, for inboxes, or for both. [`router`](Self::router) creates the router that an application
/// nests.
///
/// ```
/// use axum::{Router, http::{StatusCode, request::Parts}};
/// use tower_webhooks::{ConfigError, Inbox, api::Access, dashboard::Dashboard, send::Dispatcher};
///
/// # fn pages(webhooks: Dispatcher, inbox: Inbox) -> Result<Router, ConfigError> {
/// let authorize = |_: Parts| async { Ok::<_, StatusCode>(Access::operator()) }; // behind a VPN
/// Ok(Router::new().nest("/webhooks", Dashboard::new(webhooks, authorize).with_inbox(inbox)?.router()))
/// # }
/// ```
#[must_use]
pub struct Dashboard {
    authorize: Box<dyn Authorize>,
    webhooks: Option<Dispatcher>,
    inboxes: Inboxes,
    redaction: Redaction,
}

impl Dashboard {
    /// Creates the dashboard for a dispatcher. `authorize` determines who sends each request, as for the management
    /// API. An owner can read the pages of the tenant, and an operator can use all actions for the tenants of the
    /// access.
    pub fn new(webhooks: Dispatcher, authorize: impl Authorize) -> Self {
        Self::of(Some(webhooks), Inboxes::default(), authorize)
    }

    /// Creates the dashboard for an application that only receives.
    pub fn for_inbox(inbox: Inbox, authorize: impl Authorize) -> Self {
        Self::of(None, Inboxes::of(inbox), authorize)
    }

    fn of(webhooks: Option<Dispatcher>, inboxes: Inboxes, authorize: impl Authorize) -> Self {
        Self { authorize: Box::new(authorize), webhooks, inboxes, redaction: Redaction::new() }
    }

    /// Adds the pages of an inbox. The events of several inboxes are in one list.
    ///
    /// # Errors
    /// If another inbox of this router has the same name, or is in another store: an event's id is its number in the
    /// store.
    pub fn with_inbox(mut self, inbox: Inbox) -> Result<Self, ConfigError> {
        self.inboxes.add(inbox)?;
        Ok(self)
    }

    /// Sets the rules that hide parts of payloads, answers and received requests on all pages of this router. By
    /// default nothing is hidden.
    pub fn with_redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Creates the router.
    ///
    /// Nest it at a path of its own; the pages determine this path themselves. A proxy must not remove it, and must
    /// pass `Host` and `Origin` on unchanged.
    pub fn router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Self { authorize, webhooks, inboxes, redaction } = self;
        let offers = Offers { sending: webhooks.is_some(), inbox: !inboxes.is_empty() };
        let gate = Arc::new(Gate { authorize, offers });
        let everything =
            Everything { webhooks: webhooks.clone(), inboxes: inboxes.clone(), redaction: redaction.clone() };
        let mut pages = overview(everything);
        if let Some(webhooks) = webhooks {
            pages = pages.merge(sending(Shared { webhooks, redaction: redaction.clone() }));
        }
        if offers.inbox {
            pages = pages.merge(receiving(Received { inboxes, redaction }));
        }
        pages
            .fallback(|| async { Fault::not_found("page") })
            .method_not_allowed_fallback(|| async { Fault::method() })
            // The last one added is the first one asked.
            .layer(middleware::from_fn_with_state(gate, guard::guard))
            .layer(CsrfLayer::new().with_rejection_response(|_: ProtectionError| guard::cross_site().into_response()))
            .merge(assets::routes())
            .layer(middleware::from_fn(unread::drop_rest))
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("webhooks", &self.webhooks)
            .field("inboxes", &self.inboxes.names())
            .finish_non_exhaustive()
    }
}

fn overview<S: Clone + Send + Sync + 'static>(everything: Everything) -> Router<S> {
    Router::new().route("/", get(overview::show)).with_state(Arc::new(everything))
}

fn sending<S: Clone + Send + Sync + 'static>(shared: Shared) -> Router<S> {
    Router::new()
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
        .with_state(Arc::new(shared))
}

fn receiving<S: Clone + Send + Sync + 'static>(received: Received) -> Router<S> {
    Router::new()
        .route("/inbox", get(inbox::list))
        .route("/inbox/discard", post(inbox::discard_many))
        .route("/inbox/replay", post(inbox::replay_many))
        .route("/inbox/{id}", get(inbox::show))
        .route("/inbox/{id}/discard", post(inbox::discard))
        .route("/inbox/{id}/replay", post(inbox::replay))
        .with_state(Arc::new(received))
}
