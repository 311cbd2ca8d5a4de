use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::store::StoredResponse;
use crate::{observe::Outcome, verify::Acknowledged};

/// Tells a copy's sender that the answer is to the first one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest time that a sender is asked to wait for a handler, which as a rule is done in much less than its lease.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The delivery is done already. The answer is the first one's, where it was kept.
pub(super) fn already_processed(stored: Option<&StoredResponse>) -> Response<Bytes> {
    let mut response = match stored {
        Some(stored) => replay(stored),
        None => {
            let mut response = json(StatusCode::OK, r#"{"status":"already_processed"}"#);
            response.extensions_mut().insert(Acknowledged);
            response
        }
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response.extensions_mut().insert(Outcome::Duplicate);
    response
}

/// Somebody is handling the delivery.
pub(super) fn in_flight(status: StatusCode, rest_of_lease: Duration) -> Response<Bytes> {
    let mut response = json(status, r#"{"error":"in_flight"}"#);
    let wait = rest_of_lease.min(LONGEST_WAIT);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response.extensions_mut().insert(Outcome::InFlight);
    response
}

/// The delivery cannot be run, or cannot be known to be done; the sender is to repeat it.
pub(super) fn unavailable() -> Response<Bytes> {
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"unavailable"}"#);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

/// The application is at fault.
pub(super) fn internal() -> Response<Bytes> {
    json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal"}"#)
}

/// The handler panicked.
pub(super) fn panicked() -> Response<Bytes> {
    let mut response = internal();
    response.extensions_mut().insert(Outcome::Panicked);
    response
}

/// The handler was stopped; the sender is to repeat the delivery.
pub(super) fn timed_out() -> Response<Bytes> {
    let mut response = unavailable();
    response.extensions_mut().insert(Outcome::TimedOut);
    response
}

/// The delivery has no id, and the application wants one.
pub(super) fn missing_id() -> Response<Bytes> {
    json(StatusCode::BAD_REQUEST, r#"{"error":"missing_delivery_id"}"#)
}

fn replay(stored: &StoredResponse) -> Response<Bytes> {
    let mut response = Response::new(stored.body.clone());
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    if let Some(value) = stored.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn json(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
