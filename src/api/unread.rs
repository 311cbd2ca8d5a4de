//! The part of a request's body that a handler has not read.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::input::{BODY_LIMIT, BODY_TIME};
use crate::{
    drain::{Bounds, Drained, Rest},
    mutex::Mutex,
};

/// Reads and drops the rest of a request's body before the answer is sent: see [`drain`](crate::drain).
pub(crate) async fn drop_rest(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let until = Instant::now() + BODY_TIME;
    let head = parts.clone();
    let returned = Returned::default();
    let lent = Lent { body: Some(body), is_polled: false, returned: returned.clone() };
    let response = next.run(Request::from_parts(parts, Body::new(lent))).await;
    let left = returned.lock().take();
    let bounds = Bounds::new(BODY_LIMIT, BODY_TIME);
    let rest = match left {
        None => None,
        Some(Left { body, is_polled: true }) => Some(Rest::begun(bounds, head.version, body, until)),
        Some(Left { body, .. }) => Rest::unread(bounds, &head, body),
    };
    if let Some(mut rest) = rest
        && poll_fn(|cx| rest.poll(cx)).await == Drained::Silent
    {
        rest.linger();
    }
    response
}

/// A body that is given back if a handler drops it before its end.
struct Lent {
    body: Option<Body>,
    is_polled: bool,
    returned: Returned,
}

type Returned = Arc<Mutex<Option<Left>>>;

struct Left {
    body: Body,
    is_polled: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_polled = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.returned.lock() = Some(Left { body, is_polled: self.is_polled });
        }
    }
}
