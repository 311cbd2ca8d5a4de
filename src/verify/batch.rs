use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body_util::Full;
use tower_service::Service;

use super::{body::ResponseBody, config::Config, rejection, verified::verified_request};
use crate::{
    delivery::Delivery,
    observe::{self, Handling, Outcome as Ended, ReceiveSpan},
    panics::{Panicked, caught, poll_caught},
};

/// The items of one request that are still to be handled, and what the ones before came to.
pub(super) struct Batch<S, A, E> {
    inner: S,
    /// The item that is being handled.
    pub(super) handling: Option<Handling>,
    config: Arc<Config>,
    parts: Parts,
    items: vec::IntoIter<Delivery>,
    failed: Option<ItemEnd<A, E>>,
    last: Option<A>,
}

/// How the inner service ended with one item.
enum ItemEnd<A, E> {
    Failed(E),
    Panicked,
    Responded(A),
}

impl<S, R, E> Batch<S, Response<R>, E> {
    pub(super) fn new(inner: S, config: Arc<Config>, parts: Parts, items: Vec<Delivery>) -> Self {
        Self { inner, handling: None, config, parts, items: items.into_iter(), failed: None, last: None }
    }

    /// The request for the next item, as if it had come alone.
    fn next_request(&mut self) -> Option<Request<Full<Bytes>>> {
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

    /// Handles one item after the other, and returns what the whole request is answered.
    pub(super) fn poll(
        &mut self,
        mut future: Pin<&mut Option<S::Future>>,
        span: &ReceiveSpan,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<R>>, E>>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = E>,
    {
        loop {
            if let Some(running) = future.as_mut().as_pin_mut() {
                // A panic is this item's own failure, and the others are still to be handled.
                let ended = {
                    let _entered = self.handling.as_ref().map(Handling::enter);
                    match ready!(poll_caught(running, cx)) {
                        Ok(Ok(response)) => ItemEnd::Responded(response),
                        Ok(Err(error)) => ItemEnd::Failed(error),
                        Err(Panicked) => ItemEnd::Panicked,
                    }
                };
                let dropped = caught(|| future.set(None));
                self.end(if dropped.is_ok() { ended } else { ItemEnd::Panicked }, span);
            }
            // Each call is of a service that has said that it is ready. An error of that is final (`Service::poll_ready`): the service
            // takes no more items, so the whole batch fails, and its sender repeats it.
            ready!(self.inner.poll_ready(cx))?;
            let Some(request) = self.next_request() else { break };
            let running = {
                let _entered = self.handling.as_ref().map(Handling::enter);
                caught(|| self.inner.call(request))
            };
            match running {
                Ok(running) => future.set(Some(running)),
                Err(Panicked) => self.end(ItemEnd::Panicked, span),
            }
        }
        let response = match self.answer() {
            Some(ItemEnd::Responded(response)) => self.config.finish(response),
            Some(ItemEnd::Panicked) => rejection::panicked().map(ResponseBody::own),
            Some(ItemEnd::Failed(error)) => return Poll::Ready(Err(error)),
            None => self.config.scheme.acknowledge().into_response().map(ResponseBody::own),
        };
        span.verified(response.status().as_u16());
        Poll::Ready(Ok(response))
    }

    /// Ends the span of an item, and records for the answer how the item ended.
    fn end(&mut self, end: ItemEnd<Response<R>, E>, span: &ReceiveSpan) {
        if let Some(mut handling) = self.handling.take() {
            match &end {
                ItemEnd::Responded(response) => handling.respond(span, response),
                ItemEnd::Failed(_) => handling.end(Ended::Failed, None),
                ItemEnd::Panicked => {
                    {
                        let _entered = handling.enter();
                        observe::panicked(self.config.scheme.name());
                    }
                    handling.end(Ended::Panicked, None);
                }
            }
        }
        self.note(end);
    }

    /// Notes how an item ended. One that fails, by whatever way, does not keep the others from being handled.
    fn note(&mut self, end: ItemEnd<Response<R>, E>) {
        match end {
            ItemEnd::Responded(response) if response.status().is_success() => self.last = Some(response),
            failed => _ = self.failed.get_or_insert(failed),
        }
    }

    /// The answer to the whole request: the first failure, else the last success. `None` when there was no item.
    fn answer(&mut self) -> Option<ItemEnd<Response<R>, E>> {
        self.failed.take().or_else(|| self.last.take().map(ItemEnd::Responded))
    }
}
