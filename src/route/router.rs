use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::handler::Handler;
use axum_core::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tower_service::Service;

use super::{
    handler::{DynHandler, erase, with_state},
    upcast::Upcasters,
};
use crate::{
    answers::{Line, internal},
    boxed::{BoxError, BoxFuture},
    delivery::{Delivery, EventType},
    json::Unread,
    observe::{self, Outcome},
    pattern::{PatternTable, Refused, Subject, mistake},
    verify::{Acknowledged, Undecoded, Verified},
};

/// Chooses a handler by event type: see the [module](super).
///
/// It is a handler itself, for `post(events)`; with its state it is a service, for `route_service`. Cheap to clone
/// after it is built.
///
/// ```
/// use axum::{Router, body::Body, http::Request, http::StatusCode};
/// use serde_json::{Value, json};
/// use tower::ServiceExt;
/// use tower_webhooks::{EventRouter, Provider, Secret, VerifiedEvent, WebhookLayer, testing::SignedRequest};
///
/// async fn on_push(event: VerifiedEvent<Value>) -> StatusCode {
///     assert_eq!(event["ref"], "refs/heads/main");
///     StatusCode::CREATED
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Secret::new("It's a Secret to Everybody")?;
/// let events: EventRouter = EventRouter::new().on("push", on_push);
/// let app: Router = Router::new().route_service("/hook", WebhookLayer::github(secret.clone()).layer(events));
///
/// let push = SignedRequest::new(Provider::GITHUB, &secret).uri("/hook").with_event("push", json!({ "ref": "refs/heads/main" }));
/// let request: Request<Body> = push.build();
/// assert_eq!(app.clone().oneshot(request).await?.status(), StatusCode::CREATED);
///
/// // A type that no handler takes is a success, so that the sender does not repeat it.
/// let star = SignedRequest::new(Provider::GITHUB, &secret).uri("/hook").with_event("star", json!({}));
/// let request: Request<Body> = star.build();
/// assert!(app.oneshot(request).await?.status().is_success());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct EventRouter<S = ()>(Arc<Inner<S>>);

struct Inner<S> {
    routes: PatternTable<Versions<S>>,
    fallback: Option<DynHandler<S>>,
    upcasters: Upcasters,
    /// Whether a mistake in the patterns has been logged.
    mistaken: AtomicBool,
}

/// The handlers of one pattern: some for API versions of their own, and one for all others.
struct Versions<S> {
    others: Option<DynHandler<S>>,
    named: Vec<(Arc<str>, DynHandler<S>)>,
}

impl<S> EventRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Creates a router without handlers.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            routes: PatternTable::default(),
            fallback: None,
            upcasters: Upcasters::default(),
            mistaken: AtomicBool::new(false),
        }))
    }

    /// Adds a handler for an event type, or for a group of types: `invoice.paid`, `customer.*`, `orders/*`, `*`.
    ///
    /// A group has the separator of its types, which is `.`, `/` or `:`. `*` also handles events without a type.
    ///
    /// # Panics
    /// If the pattern already has a handler, or is not a pattern.
    #[track_caller]
    pub fn on<H, T>(self, pattern: &str, handler: H) -> Self
    where
        H: Handler<T, S> + Sync,
        T: 'static,
    {
        let handler = erase(handler);
        self.insert(pattern, Versions { others: Some(handler), named: Vec::new() })
    }

    /// Adds a handler for an event type, or for a group of types, if the event has one of these API versions.
    ///
    /// An event of any other version goes to the handler that is registered for the same pattern [without a
    /// version](Self::on). Without such a handler, it goes to the next pattern that matches: first the exact name, then the
    /// longest group, then `*`, then the [fallback](Self::fallback). If no handler is left, the event is acknowledged
    /// like any event that no handler wants, and each such event is logged as a warning; otherwise an upgrade of the
    /// account could lose events unnoticed.
    ///
    /// # Panics
    /// If there is no version, if the pattern already has a handler for one of them, or if it is not a pattern.
    #[track_caller]
    pub fn on_version<H, T>(
        self,
        pattern: &str,
        versions: impl IntoIterator<Item = impl Into<Arc<str>>>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S> + Sync,
        T: 'static,
    {
        let handler = erase(handler);
        let named: Vec<_> = versions.into_iter().map(|version| (version.into(), Arc::clone(&handler))).collect();
        assert!(!named.is_empty(), "the handler of `{pattern}` names no API version");
        self.insert(pattern, Versions { others: None, named })
    }

    /// Adds a conversion of payloads from one API version to another, which runs before a handler is chosen.
    /// Conversions are chained: with one from `1` to `2` and one from `2` to `3`, handlers only see version `3`.
    /// `raw()` still returns the signed body.
    ///
    /// # Panics
    /// If the pattern already has a conversion from this version, or is not a pattern.
    #[track_caller]
    pub fn upcast<F>(self, pattern: &str, from: &str, to: &str, upcaster: F) -> Self
    where
        F: Fn(Value) -> Result<Value, BoxError> + Send + Sync + 'static,
    {
        let mut inner = self.into_inner();
        if let Err(refused) = inner.upcasters.insert(pattern, from, to, Arc::new(upcaster)) {
            refuse(pattern, refused);
        }
        Self(Arc::new(inner))
    }

    /// Sets the handler for events that no pattern matches, and for deliveries without an event type.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[track_caller]
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + Sync,
        T: 'static,
    {
        let mut inner = self.into_inner();
        assert!(inner.fallback.replace(erase(handler)).is_none(), "there is a fallback for events already");
        Self(Arc::new(inner))
    }

    /// Adds the handlers of another router.
    ///
    /// # Panics
    /// If both have a handler for the same pattern, or a fallback.
    #[track_caller]
    pub fn merge(self, other: Self) -> Self {
        let mut inner = self.into_inner();
        let other = other.into_inner();
        assert!(!(inner.fallback.is_some() && other.fallback.is_some()), "both routers have a fallback for events");
        inner.fallback = inner.fallback.or(other.fallback);
        if let Err((pattern, refused)) = inner.upcasters.merge(other.upcasters) {
            refuse(&pattern, refused);
        }
        let mut merged = Self(Arc::new(inner));
        for (pattern, versions) in other.routes.into_entries() {
            merged = merged.insert(&pattern, versions);
        }
        merged
    }

    /// Sets the state of the handlers.
    pub fn with_state<S2>(self, state: S) -> EventRouter<S2>
    where
        S2: Clone + Send + Sync + 'static,
    {
        let inner = self.into_inner();
        let give = |handler: DynHandler<S>| with_state::<S, S2>(handler, state.clone());
        EventRouter(Arc::new(Inner {
            routes: inner.routes.map(|versions| Versions {
                others: versions.others.map(give),
                named: versions.named.into_iter().map(|(version, handler)| (version, give(handler))).collect(),
            }),
            fallback: inner.fallback.map(give),
            upcasters: inner.upcasters,
            mistaken: inner.mistaken,
        }))
    }

    #[track_caller]
    fn insert(self, pattern: &str, versions: Versions<S>) -> Self {
        let mut inner = self.into_inner();
        let merged = match inner.routes.remove(pattern) {
            Some(present) => present.and(versions).ok_or(Refused::Twice),
            None => Ok(versions),
        };
        if let Err(refused) = merged.and_then(|versions| inner.routes.insert(pattern, versions)) {
            refuse(pattern, refused);
        }
        Self(Arc::new(inner))
    }

    /// The parts, to be changed: the router's own while it is being built.
    fn into_inner(self) -> Inner<S> {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            routes: shared.routes.clone(),
            fallback: shared.fallback.clone(),
            upcasters: shared.upcasters.clone(),
            mistaken: AtomicBool::new(false),
        })
    }

    async fn handle(self, mut request: Request, state: S) -> Response {
        let Some(verified) = request.extensions().get::<Verified>().cloned() else {
            observe::no_layer("EventRouter");
            return internal();
        };
        let mut delivery = verified.delivery.clone();
        if !self.0.upcasters.is_empty() {
            match self.0.upcasters.apply(&delivery) {
                None => {}
                Some(Ok(upcast)) => {
                    delivery = upcast.clone();
                    request.extensions_mut().insert(verified.with_delivery(upcast));
                }
                Some(Err(cause)) => {
                    observe::not_upcast(delivery.provider(), delivery.event_type().map(|kind| kind.as_str()), &*cause);
                    let response = Line::UNEXPECTED_PAYLOAD.response(StatusCode::UNPROCESSABLE_ENTITY);
                    return undecoded(response, "its payload cannot be turned into the newer API version");
                }
            }
        }
        match self.handler(&delivery) {
            // The type is ambiguous.
            _ if delivery.unread() == Some(Unread::Repeated) => self.unhandled(&delivery),
            Some(handler) => handler.call(request, state).await,
            None => self.unhandled(&delivery),
        }
    }

    fn handler(&self, delivery: &Delivery) -> Option<&DynHandler<S>> {
        let version = delivery.api_version();
        let mut matching = self.0.routes.matching(subject(delivery));
        matching.find_map(|versions| versions.get(version)).or(self.0.fallback.as_ref())
    }

    /// Whether a handler would run for this delivery, or one may: what cannot be read is not told apart by its type.
    #[cfg(feature = "inbox")]
    pub(crate) fn handles(&self, delivery: &Delivery) -> bool {
        // The type is read by this, and with it what is wrong with the body.
        let known = self.handler(delivery).is_some();
        if delivery.unread().is_some() {
            return true;
        }
        match self.0.upcasters.apply(delivery) {
            None => known,
            Some(Ok(upcast)) => self.handler(&upcast).is_some(),
            Some(Err(_)) => true,
        }
    }

    /// Returns the answer to an event without a handler. Only an event that could be read is acknowledged.
    fn unhandled(&self, delivery: &Delivery) -> Response {
        let event_type = delivery.event_type().map(|kind| kind.as_str());
        if let Some(unread) = delivery.unread() {
            observe::not_routed(delivery.provider(), event_type, unread.as_str());
            let response = match unread {
                Unread::Form => Line::UNSUPPORTED_FORM.response(StatusCode::UNSUPPORTED_MEDIA_TYPE),
                _ => Line::MALFORMED_BODY.response(StatusCode::BAD_REQUEST),
            };
            return undecoded(response, unread.as_str());
        }
        self.warn(delivery, event_type);
        observe::unhandled(delivery.provider(), event_type);
        let mut response: Response = Line::UNHANDLED.response(StatusCode::OK);
        response.extensions_mut().insert(Acknowledged);
        response.extensions_mut().insert(Outcome::Unhandled);
        response
    }

    /// Logs a warning if an event without a handler looks like a mistake in the routes.
    fn warn(&self, delivery: &Delivery, event_type: Option<&str>) {
        let Inner { routes, mistaken, .. } = &*self.0;
        if routes.matching(subject(delivery)).next().is_some() {
            observe::version_unhandled(delivery.provider(), event_type, delivery.api_version());
        } else if let Some(event_type) = event_type
            && !mistaken.load(Ordering::Relaxed)
        {
            let patterns: Vec<_> = routes.patterns().collect();
            if let Some(mistake) = mistake(patterns.iter().map(String::as_str), subject(delivery))
                && !mistaken.swap(true, Ordering::Relaxed)
            {
                observe::never_matches("event router", delivery.provider(), event_type, mistake);
            }
        }
    }
}

/// Marks an answer that would be the same if the event were sent again.
fn undecoded(mut response: Response, reason: &str) -> Response {
    response.extensions_mut().insert(Undecoded { reason: reason.into() });
    response
}

fn subject(delivery: &Delivery) -> Subject<'_> {
    delivery.event_type().map(EventType::subject).unwrap_or_default()
}

impl<S> Versions<S> {
    fn get(&self, version: Option<&str>) -> Option<&DynHandler<S>> {
        let named = version.and_then(|version| self.named.iter().find(|(name, _)| **name == *version));
        named.map(|(_, handler)| handler).or(self.others.as_ref())
    }

    /// Both together; `None` when they overlap.
    fn and(mut self, other: Self) -> Option<Self> {
        if self.others.is_some() && other.others.is_some() {
            return None;
        }
        self.others = self.others.or(other.others);
        for (version, handler) in other.named {
            if self.named.iter().any(|(name, _)| *name == version) {
                return None;
            }
            self.named.push((version, handler));
        }
        Some(self)
    }
}

impl<S> Clone for Versions<S> {
    fn clone(&self) -> Self {
        Self { others: self.others.clone(), named: self.named.clone() }
    }
}

#[diagnostic::do_not_recommend]
impl<S> Handler<(), S> for EventRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, state: S) -> Self::Future {
        Box::pin(self.handle(request, state))
    }
}

impl<B> Service<http::Request<B>> for EventRouter<()>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let router = self.clone();
        Box::pin(async move { Ok(router.handle(request.map(Body::new), ()).await) })
    }
}

impl<S> Clone for EventRouter<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for EventRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for EventRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRouter").finish_non_exhaustive()
    }
}

#[track_caller]
fn refuse(pattern: &str, refused: Refused) -> ! {
    match refused {
        Refused::NoPattern => {
            panic!(
                "`{pattern}` is not a pattern of event types; one is `invoice.paid`, `customer.*`, `orders/*` or `*`"
            )
        }
        Refused::Twice => panic!("the pattern `{pattern}` is registered twice"),
    }
}
