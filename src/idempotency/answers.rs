use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::store::StoredResponse;
pub(super) use crate::answers::{internal, unavailable};
use crate::{
    answers::{Line, retry_after},
    observe::Outcome,
    verify::Acknowledged,
};

/// Says that the answer is to a duplicate.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest time that a sender is asked to wait for a handler, which as a rule is done in much less than its lease.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The delivery is done already. The answer is that of the first one, if it was stored.
pub(super) fn already_processed(stored: Option<&StoredResponse>) -> Response<Bytes> {
    let mut response = match stored {
        Some(stored) => kept(stored),
        None => {
            let mut response = Line::ALREADY_PROCESSED.response(StatusCode::OK);
            response.extensions_mut().insert(Acknowledged);
            response
        }
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response.extensions_mut().insert(Outcome::Duplicate);
    response
}

/// The delivery is being handled.
pub(super) fn in_flight(status: StatusCode, rest_of_lease: Duration) -> Response<Bytes> {
    let mut response = Line::IN_FLIGHT.response(status);
    retry_after(&mut response, rest_of_lease.min(LONGEST_WAIT));
    response.extensions_mut().insert(Outcome::InFlight);
    response
}

/// The handler panicked.
pub(super) fn panicked() -> Response<Bytes> {
    let mut response: Response<Bytes> = internal();
    response.extensions_mut().insert(Outcome::Panicked);
    response
}

/// The handler was stopped; the sender is to repeat the delivery.
pub(super) fn timed_out() -> Response<Bytes> {
    let mut response: Response<Bytes> = unavailable();
    response.extensions_mut().insert(Outcome::TimedOut);
    response
}

/// The delivery has no id, and the application wants one.
pub(super) fn missing_id() -> Response<Bytes> {
    Line::MISSING_DELIVERY_ID.response(StatusCode::BAD_REQUEST)
}

/// The response that was kept of the first one.
fn kept(stored: &StoredResponse) -> Response<Bytes> {
    let mut response = Response::new(stored.body.clone());
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    if let Some(value) = stored.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
