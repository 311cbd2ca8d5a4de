//! The answers of the crate itself: the table of their bodies, and `Retry-After`.
//!
//! Each body is one fixed line of JSON. It says no more than the status, since whoever is rejected may be an attacker.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// A fixed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line(&'static str);

impl Line {
    // Successes.
    #[cfg(feature = "inbox")]
    pub(crate) const ACCEPTED: Self = Self(r#"{"status":"accepted"}"#);
    #[cfg(feature = "idempotency")]
    pub(crate) const ALREADY_PROCESSED: Self = Self(r#"{"status":"already_processed"}"#);
    #[cfg(feature = "axum")]
    pub(crate) const DISCARDED: Self = Self(r#"{"status":"discarded"}"#);
    #[cfg(any(feature = "axum", feature = "inbox"))]
    pub(crate) const UNHANDLED: Self = Self(r#"{"status":"unhandled"}"#);

    // The sender is at fault.
    pub(crate) const BODY_TOO_LARGE: Self = Self(r#"{"error":"body_too_large"}"#);
    pub(crate) const BODY_TOO_SLOW: Self = Self(r#"{"error":"body_too_slow"}"#);
    pub(crate) const FORBIDDEN: Self = Self(r#"{"error":"forbidden"}"#);
    #[cfg(feature = "idempotency")]
    pub(crate) const IN_FLIGHT: Self = Self(r#"{"error":"in_flight"}"#);
    pub(crate) const INCOMPLETE_BODY: Self = Self(r#"{"error":"incomplete_body"}"#);
    /// One text for every authentication failure: the difference between them is what an attacker probes for.
    pub(crate) const INVALID_SIGNATURE: Self = Self(r#"{"error":"invalid_signature"}"#);
    #[cfg(feature = "axum")]
    pub(crate) const MALFORMED_BODY: Self = Self(r#"{"error":"malformed_body"}"#);
    #[cfg(feature = "idempotency")]
    pub(crate) const MISSING_DELIVERY_ID: Self = Self(r#"{"error":"missing_delivery_id"}"#);
    #[cfg(feature = "axum")]
    pub(crate) const UNEXPECTED_PAYLOAD: Self = Self(r#"{"error":"unexpected_payload"}"#);
    pub(crate) const UNSUPPORTED_CONTENT_ENCODING: Self = Self(r#"{"error":"unsupported_content_encoding"}"#);
    #[cfg(feature = "axum")]
    pub(crate) const UNSUPPORTED_FORM: Self = Self(r#"{"error":"unsupported_form"}"#);

    // We are, or the application is.
    pub(crate) const INTERNAL: Self = Self(r#"{"error":"internal"}"#);
    pub(crate) const UNAVAILABLE: Self = Self(r#"{"error":"unavailable"}"#);

    /// Returns a response with this body.
    pub(crate) fn response<B: From<Bytes>>(self, status: StatusCode) -> Response<B> {
        let mut response = Response::new(B::from(Bytes::from_static(self.0.as_bytes())));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// When a sender may come back after a 503 without another time: long enough for a store or a look-up to recover, short enough to be
/// a retry.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Returns a 503 with `Retry-After`: the sender is to repeat the request.
pub(crate) fn unavailable<B: From<Bytes>>() -> Response<B> {
    let mut response = Line::UNAVAILABLE.response(StatusCode::SERVICE_UNAVAILABLE);
    retry_after(&mut response, RETRY_AFTER);
    response
}

/// Returns a 500.
pub(crate) fn internal<B: From<Bytes>>() -> Response<B> {
    Line::INTERNAL.response(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Sets `Retry-After`: whole seconds (RFC 9110, section 10.2.3), rounded up. At least one, since some clients take 0 for "never".
pub(crate) fn retry_after<B>(response: &mut Response<B>, wait: Duration) {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Response, header};

    use super::{retry_after, unavailable};

    #[test]
    fn a_wait_is_rounded_up_and_never_0() {
        for (wait, expected) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (u64::MAX, "18446744073709552")] {
            let mut response = Response::new(());
            retry_after(&mut response, Duration::from_millis(wait));
            assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{wait} ms");
        }
        assert_eq!(unavailable::<Bytes>().headers()[header::RETRY_AFTER], "10");
    }
}
