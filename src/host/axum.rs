#[cfg(feature = "idempotency")]
use std::borrow::Cow;
use std::task::{Context, Poll, Waker};

#[cfg(feature = "idempotency")]
use axum::extract::NestedPath;
use axum::extract::{MatchedPath, OriginalUri, RawPathParams};
use axum_core::extract::{DefaultBodyLimit, FromRequestParts};
use bytes::Bytes;
use http::{Request, Uri, request::Parts};
use http_body_util::Full;

use crate::head::RequestHead;

/// Returns the URI that the sender called, before nested routers remove their prefix.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// Whether [`route`] can return a route.
#[cfg(feature = "idempotency")]
pub(crate) const KNOWS_ROUTES: bool = true;

/// Returns the pattern of the route that matched, including the paths of outer routers; for a nested service, the
/// pattern where it is nested. `None` behind a fallback.
///
/// It comes from the application, never from the request: a service has one name, however a sender writes the path.
#[cfg(feature = "idempotency")]
pub(crate) fn route<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let nested = request.extensions().get::<NestedPath>().map(|path| path.as_str().trim_end_matches('/'));
    match (matched, nested) {
        // axum sets the matched path of a nested service only if the request's path is exactly the nested one.
        (Some(matched), Some(nested)) if matched.trim_end_matches('/') == nested => Some(within(nested)),
        (Some(matched), _) => Some(Cow::Borrowed(matched)),
        (None, Some(nested)) => Some(within(nested)),
        (None, None) => None,
    }
}

/// No route can have this name, since a wildcard in axum needs a name.
#[cfg(feature = "idempotency")]
fn within(nested: &str) -> Cow<'_, str> {
    format!("{nested}/{{*}}").into()
}

/// Returns the head with everything that axum knows about it.
pub(crate) fn request_head(parts: &mut Parts) -> RequestHead {
    let path_params = path_params(parts);
    RequestHead::with_route(
        parts.method.clone(),
        original_uri(parts).clone(),
        parts.headers.clone(),
        parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()),
        path_params,
    )
}

/// axum gives access to path parameters only through an extractor, which is ready at once.
fn path_params(parts: &mut Parts) -> Vec<(String, String)> {
    let future = std::pin::pin!(RawPathParams::from_request_parts(parts, &()));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(params)) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Poll::Ready(Err(_)) | Poll::Pending => Vec::new(),
    }
}

/// Lets `Bytes`, `Json` and `String` accept a body whose size the layer has checked, although it exceeds axum's default
/// limit.
pub(crate) fn lift_body_limit(request: &mut Request<Full<Bytes>>, length: usize) {
    const AXUM_DEFAULT: usize = 2 * 1024 * 1024;
    if length > AXUM_DEFAULT {
        DefaultBodyLimit::max(length).apply(request);
    }
}
