use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    problem::Problem,
    shared::{IfMatch, Shared},
};
use crate::send::Endpoint;

/// The entity tag of an endpoint (RFC 9110, section 8.8.3): its revision, and why it is disabled. Nothing else that is
/// shown of an endpoint can change.
pub(super) fn of(endpoint: &Endpoint) -> String {
    format!("\"{}.{}\"", endpoint.revision(), endpoint.disabled().map_or("enabled", |reason| reason.as_str()))
}

/// Puts the tag into an answer.
pub(super) fn tagged(mut response: axum::response::Response, endpoint: &Endpoint) -> axum::response::Response {
    if let Ok(value) = HeaderValue::from_str(&of(endpoint)) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// Checks `If-Match` (RFC 9110, section 13.1.1). `Ok(true)` if the request names this very endpoint, so that its revision is
/// to be compared again when it is changed.
pub(super) fn check(shared: &Shared, headers: &HeaderMap, endpoint: &Endpoint) -> Result<bool, Problem> {
    match matches(headers, header::IF_MATCH, &of(endpoint), Comparison::Strong) {
        None if shared.if_match == IfMatch::Required => Err(Problem::precondition_required()),
        None => Ok(false),
        Some(Matched::Any) => Ok(false),
        Some(Matched::One) => Ok(true),
        Some(Matched::Nothing) => Err(Problem::stale()),
    }
}

/// Answers a reader who has the endpoint already (RFC 9110, section 13.1.2).
pub(super) fn not_modified(headers: &HeaderMap, endpoint: &Endpoint) -> Option<StatusCode> {
    let matched = matches(headers, header::IF_NONE_MATCH, &of(endpoint), Comparison::Weak);
    matches!(matched, Some(Matched::Any | Matched::One)).then_some(StatusCode::NOT_MODIFIED)
}

enum Matched {
    Any,
    Nothing,
    One,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Compares a list of tags. Tags of ours have neither a comma nor a quote within, so a list is cut at its commas.
fn matches(headers: &HeaderMap, name: header::HeaderName, tag: &str, comparison: Comparison) -> Option<Matched> {
    let mut found = None;
    for value in headers.get_all(name) {
        found.get_or_insert(Matched::Nothing);
        for one in value.as_bytes().split(|byte| *byte == b',') {
            let one = one.trim_ascii();
            if one == b"*" {
                return Some(Matched::Any);
            }
            let one = match comparison {
                Comparison::Strong => one,
                Comparison::Weak => one.strip_prefix(b"W/").unwrap_or(one),
            };
            if one == tag.as_bytes() {
                found = Some(Matched::One);
            }
        }
    }
    found
}
