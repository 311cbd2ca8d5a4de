use std::task::{Context, Poll, Waker};

use axum::extract::{MatchedPath, OriginalUri, RawPathParams};
use axum_core::extract::{DefaultBodyLimit, FromRequestParts};
use bytes::Bytes;
use http::{Request, Uri, request::Parts};
use http_body_util::Full;

use crate::head::RequestHead;

/// The URI that the sender called, before nested routers cut their prefix off.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// The pattern of the route that matched, else the path.
#[cfg(feature = "idempotency")]
pub(crate) fn route<B>(request: &Request<B>) -> &str {
    request.extensions().get::<MatchedPath>().map_or_else(|| request.uri().path(), MatchedPath::as_str)
}

/// The head with everything that axum knows about it.
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

/// axum keeps path parameters to itself and shows them through an extractor, which is ready at once.
fn path_params(parts: &mut Parts) -> Vec<(String, String)> {
    let future = std::pin::pin!(RawPathParams::from_request_parts(parts, &()));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(params)) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Poll::Ready(Err(_)) | Poll::Pending => Vec::new(),
    }
}

/// Lets `Bytes`, `Json` and `String` take a body that has already been bounded, where axum's own default would cut it.
pub(crate) fn lift_body_limit(request: &mut Request<Full<Bytes>>, length: usize) {
    const AXUM_DEFAULT: usize = 2 * 1024 * 1024;
    if length > AXUM_DEFAULT {
        DefaultBodyLimit::max(length).apply(request);
    }
}
