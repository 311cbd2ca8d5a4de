use std::{sync::Arc, vec};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body_util::Full;

use super::{Verified, layer::Config};
use crate::{delivery::Delivery, host, observe::Handling};

/// The items of one request that are still to be handled, and what the ones before came to.
pub(super) struct Batch<S, A, E> {
    pub(super) inner: S,
    /// The item that is being handled.
    pub(super) handling: Option<Handling>,
    config: Arc<Config>,
    parts: Parts,
    items: vec::IntoIter<Delivery>,
    failed: Option<ItemEnd<A, E>>,
    last: Option<A>,
}

/// How the inner service ended with one item.
pub(super) enum ItemEnd<A, E> {
    Failed(E),
    Panicked,
    Responded(A),
}

impl<S, R, E> Batch<S, Response<R>, E> {
    pub(super) fn new(inner: S, config: Arc<Config>, parts: Parts, items: Vec<Delivery>) -> Self {
        Self { inner, handling: None, config, parts, items: items.into_iter(), failed: None, last: None }
    }

    /// The request for the next item, as if it had come alone.
    pub(super) fn next_request(&mut self) -> Option<Request<Full<Bytes>>> {
        let delivery = self.items.next()?;
        self.handling = Some(Handling::begin(&self.config.meter, &delivery));
        let body = delivery.body().clone();
        let mut parts = self.parts.clone();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        parts.headers.remove(header::TRANSFER_ENCODING);
        // An item of a form is the JSON that the form held.
        let is_form = |value: &HeaderValue| {
            // Without parameters, and without case (RFC 9110, section 8.3.1).
            let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        };
        if parts.headers.get(header::CONTENT_TYPE).is_some_and(is_form) {
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Some(verified_request(parts, delivery, &self.config))
    }

    /// Notes how an item ended. One that fails, by whatever way, does not keep the others from being handled.
    pub(super) fn note(&mut self, end: ItemEnd<Response<R>, E>) {
        match end {
            ItemEnd::Responded(response) if response.status().is_success() => self.last = Some(response),
            failed => _ = self.failed.get_or_insert(failed),
        }
    }

    /// The answer to the whole request: the first failure, else the last success. `None` when there was no item.
    pub(super) fn answer(&mut self) -> Option<ItemEnd<Response<R>, E>> {
        self.failed.take().or_else(|| self.last.take().map(ItemEnd::Responded))
    }
}

/// A request that the inner service may trust.
pub(super) fn verified_request(mut parts: Parts, delivery: Delivery, config: &Arc<Config>) -> Request<Full<Bytes>> {
    let body = delivery.body().clone();
    parts.extensions.insert(Verified { delivery, config: Arc::clone(config) });
    let length = body.len();
    let mut request = Request::from_parts(parts, Full::new(body));
    host::lift_body_limit(&mut request, length);
    request
}
