use std::sync::Arc;

use axum::{
    extract::{OriginalUri, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};

use super::{
    fault::Fault,
    page::{self, Frame},
    reader::Reader,
    shared::Gate,
};
use crate::observe;

/// Middleware around every page: it lets a request through if the application allows it and, for a change, if one of
/// our pages has sent it. It renders the pages of errors.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let access = match gate.authorize.authorize(parts.clone()).await {
        Ok(access) => access,
        Err(response) => return response,
    };
    let reader = Reader { access, base: base(&parts).into(), offers: gate.offers };
    let is_safe = parts.method.is_safe();
    let refused = match () {
        () if is_safe => None,
        () if !reader.may_change() => Some(Fault::forbidden("Only an operator may change something here.")),
        // Every browser sends one of them with a form, and the layer outside has compared it.
        () if !parts.headers.contains_key("sec-fetch-site") && !parts.headers.contains_key(header::ORIGIN) => {
            Some(Fault::forbidden("A change is made by a form of these pages."))
        }
        () => None,
    };
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(reader.clone());
    let mut response = match refused {
        Some(fault) => fault.into_response(),
        None if is_safe => next.run(request).await,
        // A change that has begun runs to its end, also when the browser has gone.
        None => tokio::spawn(next.run(request)).await.unwrap_or_else(|error| {
            observe::api_panicked(&error);
            Fault::internal().into_response()
        }),
    };
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = page::fault(&fault, Frame::new(&reader, fault.title(), ""));
    }
    protected(response)
}

/// Adds the headers that protect every page.
fn protected(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to a change that a page of another site sends. It is given before the authorization.
pub(super) fn cross_site() -> Response {
    let text = "a page of another site must not make changes";
    protected((StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Returns the path at which the application has nested the router: the part of the original path before the router's
/// own.
fn base(parts: &Parts) -> String {
    let whole = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path());
    match parts.uri.path() {
        "/" => whole.trim_end_matches('/').to_owned(),
        inner => whole.strip_suffix(inner).unwrap_or_default().to_owned(),
    }
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    // With `no-referrer` a browser would send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
