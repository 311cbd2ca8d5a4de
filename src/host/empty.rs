#[cfg(feature = "idempotency")]
use std::borrow::Cow;

use bytes::Bytes;
use http::{Request, Uri, request::Parts};
use http_body_util::Full;

use crate::head::RequestHead;

pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    &parts.uri
}

#[cfg(feature = "idempotency")]
pub(crate) const KNOWS_ROUTES: bool = false;

#[cfg(feature = "idempotency")]
pub(crate) fn route<B>(_request: &Request<B>) -> Option<Cow<'_, str>> {
    None
}

pub(crate) fn request_head(parts: &mut Parts) -> RequestHead {
    RequestHead::new(parts.method.clone(), parts.uri.clone(), parts.headers.clone())
}

pub(crate) fn lift_body_limit(_request: &mut Request<Full<Bytes>>, _length: usize) {}
