use std::sync::Arc;
#[cfg(feature = "idempotency")]
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, request::Parts};
use http_body_util::Full;

use super::config::Config;
use crate::{delivery::Delivery, host};

/// Marks, in a response's extensions, a success by the crate itself: for a duplicate, an unhandled event type or a
/// discarded event. If the sender prescribes the form of a success, the middleware changes the response to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged;

/// The mark of an answer to an event that our extractors could not decode, in a response's extensions: no repetition will change that.
#[cfg(feature = "axum")]
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "inbox"), allow(dead_code))] // A sender is told by the status alone.
pub(crate) struct Undecoded {
    pub(crate) reason: Arc<str>,
}

/// One item of a batch, in the extensions of its request, for a service that takes all items of a request together.
#[cfg(feature = "inbox")]
#[derive(Clone)]
pub(crate) struct BatchItem {
    pub(crate) index: usize,
    pub(crate) batch: Arc<Items>,
}

/// The items of one request.
#[cfg(feature = "inbox")]
pub(crate) struct Items {
    pub(crate) deliveries: Vec<Delivery>,
    /// The results of a service that has handled all items together, for the requests of the other items.
    pub(crate) taken: crate::mutex::Mutex<Option<Arc<dyn std::any::Any + Send + Sync>>>,
}

/// Returns the delivery that a layer has verified, for a service that is not an axum handler: pass the request's
/// extensions.
///
/// Returns `None` only if there is no layer around the service.
pub fn verified_delivery(extensions: &Extensions) -> Option<&Delivery> {
    extensions.get::<Verified>().map(|verified| &verified.delivery)
}

/// The mark of a verified request, in its extensions. Code outside of this crate cannot create it.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) delivery: Delivery,
    /// `None` for one that was stored: its layer may be gone.
    config: Option<Arc<Config>>,
}

impl Verified {
    /// Creates the mark of a request that a check with `config`'s scheme has verified: now, or before it was stored.
    pub(super) fn new(delivery: Delivery, config: &Arc<Config>) -> Self {
        Self { delivery, config: Some(Arc::clone(config)) }
    }

    /// The same request, for another item of its batch.
    #[cfg(feature = "inbox")]
    pub(crate) fn for_item(&self, delivery: Delivery) -> Self {
        Self { delivery, config: self.config.clone() }
    }

    /// The same request, with its payload in another form.
    #[cfg(feature = "axum")]
    pub(crate) fn with_delivery(&self, delivery: Delivery) -> Self {
        Self { delivery, config: self.config.clone() }
    }

    /// How long the sender may retry a delivery, if that is known and long.
    #[cfg(feature = "idempotency")]
    pub(crate) fn retries_for(&self) -> Option<Duration> {
        self.config.as_ref().and_then(|config| config.scheme.retries_for())
    }

    /// Whether a delivery without an id is known by its body.
    #[cfg(feature = "idempotency")]
    pub(crate) fn bodies_are_unique(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.scheme.bodies_are_unique())
    }

    /// Whether the sender says what an answer that the crate gives by itself must look like.
    #[cfg(feature = "idempotency")]
    pub(crate) fn prescribes_success(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.scheme.success().is_some())
    }
}

/// A request that the inner service may trust.
pub(super) fn verified_request(mut parts: Parts, delivery: Delivery, config: &Arc<Config>) -> Request<Full<Bytes>> {
    let body = delivery.body().clone();
    parts.extensions.insert(Verified::new(delivery, config));
    let length = body.len();
    let mut request = Request::from_parts(parts, Full::new(body));
    host::lift_body_limit(&mut request, length);
    request
}

/// A request that was verified before it was stored. Only someone who can write into the store can forge one.
#[cfg(feature = "inbox")]
pub(crate) fn stored_request(mut parts: Parts, delivery: Delivery) -> Request<Full<Bytes>> {
    let body = delivery.body().clone();
    parts.extensions.insert(Verified { delivery, config: None });
    let length = body.len();
    let mut request = Request::from_parts(parts, Full::new(body));
    host::lift_body_limit(&mut request, length);
    request
}
