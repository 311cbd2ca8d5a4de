use std::sync::Arc;
#[cfg(feature = "idempotency")]
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, request::Parts};
use http_body_util::Full;

use super::config::Config;
use crate::{delivery::Delivery, host};

/// The mark of a success that the crate gives by itself, in a response's extensions: to a duplicate, to a type that nobody handles,
/// to a discarded event. Where the sender prescribes what a success looks like, the middleware gives it that form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged;

/// Returns the delivery that a layer has verified, for a service that is not an axum handler: pass the request's
/// extensions.
///
/// Returns `None` only if there is no layer around the service.
pub fn verified_delivery(extensions: &Extensions) -> Option<&Delivery> {
    extensions.get::<Verified>().map(|verified| &verified.delivery)
}

/// The mark of a verified request, in its extensions. Nobody outside can make one.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) delivery: Delivery,
    config: Arc<Config>,
}

impl Verified {
    /// Marks what a check of `config`'s scheme has passed: now, or before it was stored.
    pub(super) fn new(delivery: Delivery, config: &Arc<Config>) -> Self {
        Self { delivery, config: Arc::clone(config) }
    }

    /// The same request, with its payload in another form.
    #[cfg(feature = "axum")]
    pub(crate) fn with_delivery(&self, delivery: Delivery) -> Self {
        Self { delivery, config: Arc::clone(&self.config) }
    }

    /// How long the sender may repeat a delivery, where that is known to be long.
    #[cfg(feature = "idempotency")]
    pub(crate) fn retries_for(&self) -> Option<Duration> {
        self.config.scheme.retries_for()
    }

    /// Whether a delivery without an id is known by its body.
    #[cfg(feature = "idempotency")]
    pub(crate) fn bodies_are_unique(&self) -> bool {
        self.config.scheme.bodies_are_unique()
    }

    /// Whether the sender says what an answer that the crate gives by itself must look like.
    #[cfg(feature = "idempotency")]
    pub(crate) fn prescribes_success(&self) -> bool {
        self.config.scheme.success().is_some()
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
