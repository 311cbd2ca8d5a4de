use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::OriginalUri, middleware, routing};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::{
    access::Authorize,
    document,
    document::Document,
    gate,
    gate::Gate,
    inbox::Received,
    inboxes::Inboxes,
    limits::Limits,
    problem::Problem,
    repeat::Repeats,
    shared::{IfMatch, Shared},
    tenants::Everything,
    unread, write,
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    idempotency::IdempotencyStore,
    inbox::Inbox,
    redaction::Redaction,
    send::{Dispatcher, RateLimit},
};

/// The management API and its options. [`router`](Self::router) creates the router that an application nests.
///
/// ```
/// use axum::http::request::Parts;
/// use tower_webhooks::{api::{Access, Api}, send::Dispatcher, store::{MemoryOutbox, MemoryStore}};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// let authorize = |_: Parts| async { Ok::<_, axum::http::StatusCode>(Access::operator()) }; // behind a VPN
///
/// let api: axum::Router = Api::new(webhooks, authorize)
///     .with_idempotency(MemoryStore::new())
///     .with_trusted_origin("https://console.example.com")?
///     .with_required_if_match()
///     .router();
///
/// # let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// assert!(Api::new(webhooks, authorize).with_trusted_origin("console.example.com").is_err());
/// # let _ = api;
/// # Ok(()) }
/// # run().unwrap();
/// ```
#[must_use]
pub struct Api {
    gate: Gate,
    webhooks: Option<Dispatcher>,
    inboxes: Inboxes,
    if_match: IfMatch,
    cross_site: CsrfLayer,
    redaction: Redaction,
}

impl Api {
    /// Creates the API for a dispatcher. `authorize` determines who sends each request: see [`Authorize`].
    pub fn new(webhooks: Dispatcher, authorize: impl Authorize) -> Self {
        Self::of(Some(webhooks), authorize)
    }

    /// Creates the API for an application that only receives, with the routes of an inbox. Add further inboxes by
    /// [`with_inbox`](Self::with_inbox).
    pub fn for_inbox(inbox: Inbox, authorize: impl Authorize) -> Self {
        let mut api = Self::of(None, authorize);
        api.inboxes = Inboxes::of(inbox);
        api
    }

    fn of(webhooks: Option<Dispatcher>, authorize: impl Authorize) -> Self {
        let gate = Gate {
            authorize: Box::new(authorize),
            repeats: None,
            limits: RateLimit::per_second(CALLS).ok().map(Limits::new),
        };
        Self {
            gate,
            webhooks,
            inboxes: Inboxes::default(),
            if_match: IfMatch::Optional,
            cross_site: CsrfLayer::new(),
            redaction: Redaction::new(),
        }
    }

    /// Adds the routes of an inbox: operators see, replay and discard its events, and owners see those of their tenant.
    /// The events of several inboxes are in one list.
    ///
    /// # Errors
    /// If another inbox of this router has the same name, or is in another store: an event's id is its number in the
    /// store.
    pub fn with_inbox(mut self, inbox: Inbox) -> Result<Self, ConfigError> {
        self.inboxes.add(inbox)?;
        Ok(self)
    }

    /// Sets the store that remembers requests with an `Idempotency-Key` for 24 hours: if the same request arrives
    /// again, it gets the first answer and has no effect. Stored answers are sealed with the dispatcher's sealing key,
    /// since some contain a secret. Without a dispatcher no answer contains a secret, and they are not sealed. A key
    /// belongs to the caller's role and tenant, and to the store's application name.
    ///
    /// Without a store, a request with such a key is rejected with 400, since its repetition would not be recognised.
    pub fn with_idempotency(mut self, store: impl IdempotencyStore) -> Self {
        self.gate.repeats = Some(Repeats::new(store, self.webhooks.clone()));
        self
    }

    /// Sets how often the owners of one tenant may call, all of them together; 100 calls in a second by default.
    /// Further calls are rejected with 429 and `Retry-After`. Each process counts for itself. Operators are not
    /// limited.
    pub fn with_rate_limit(mut self, limit: RateLimit) -> Self {
        self.gate.limits = Some(Limits::new(limit));
        self
    }

    /// Removes the limit of calls, for example if a proxy in front limits them.
    pub fn without_rate_limit(mut self) -> Self {
        self.gate.limits = None;
        self
    }

    /// Requires `If-Match` in every request that changes an endpoint: without it the answer is 428. By default the last
    /// change wins.
    pub fn with_required_if_match(mut self) -> Self {
        self.if_match = IfMatch::Required;
        self
    }

    /// Allows pages of another origin to make changes. Write the origin as a browser does:
    /// `https://console.example.com`, in lower case, without a default port and without a path. The application answers
    /// preflight requests (CORS) itself.
    ///
    /// # Errors
    /// If the text is not an origin.
    pub fn with_trusted_origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let error = |cause| {
            ConfigError::new(ConfigErrorKind::Option, format!("`{origin}` is not an origin")).with_source(cause)
        };
        self.cross_site = self.cross_site.add_trusted_origin(origin).map_err(error)?;
        Ok(self)
    }

    /// Sets the rules that hide parts of payloads, answers and received requests in all answers of this router. By
    /// default nothing is hidden. Stored contents are not changed, so another router can show more to other people.
    pub fn with_redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Creates the router.
    pub fn router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Self { gate, webhooks, inboxes, if_match, cross_site, redaction } = self;
        let gate = Arc::new(gate);
        let page = webhooks.as_ref().map_or(PAGE, Dispatcher::page);
        let everything = Everything { webhooks: webhooks.clone(), inboxes: inboxes.clone() };
        let mut routes = document::common().with_state(Arc::new(everything));
        if let Some(webhooks) = webhooks {
            let shared = Shared { webhooks, recovering: Mutex::default(), if_match, redaction: redaction.clone() };
            routes = routes.merge(document::sending().with_state(Arc::new(shared)));
        }
        if !inboxes.is_empty() {
            routes = routes.merge(document::receiving().with_state(Arc::new(Received { inboxes, page, redaction })));
        }
        let (routes, document) = routes.split_for_parts();
        let document = Document::new(document);
        routes
            // The last one added is the first one asked.
            .route_layer(middleware::from_fn_with_state(gate.clone(), write::guard))
            .route_layer(middleware::from_fn_with_state(gate, gate::authorize))
            .route("/openapi.json", routing::get(|OriginalUri(uri): OriginalUri| async move { document.show(&uri) }))
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(|| async { Problem::not_found("route") })
            .layer(cross_site.with_rejection_response(|_: ProtectionError| {
                axum::response::IntoResponse::into_response(Problem::cross_site())
            }))
            .layer(middleware::from_fn(unread::drop_rest))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("webhooks", &self.webhooks)
            .field("inboxes", &self.inboxes.names())
            .field("if_match", &self.if_match)
            .field("redaction", &self.redaction)
            .finish_non_exhaustive()
    }
}

/// The default page size of a dispatcher.
const PAGE: u32 = 250;

/// Calls in a second. This is more than the people and scripts of one customer need, and less than would overload a
/// database.
const CALLS: u32 = 100;
