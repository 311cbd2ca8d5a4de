use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::error::{VerifyError, VerifyErrorKind};

/// When a sender may come back after a 503, in seconds: long enough for a look-up to recover, short enough to be a retry.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// The one table of statuses; docs/operating.md explains it. `refused` is the scheme's status for authentication failures.
pub(super) fn status(kind: VerifyErrorKind, refused: StatusCode) -> StatusCode {
    match kind {
        VerifyErrorKind::Ambiguous
        | VerifyErrorKind::AmbiguousText
        | VerifyErrorKind::MalformedSignature
        | VerifyErrorKind::MalformedTimestamp
        | VerifyErrorKind::Missing
        | VerifyErrorKind::SignatureMismatch
        | VerifyErrorKind::Stale
        | VerifyErrorKind::TestSecret
        | VerifyErrorKind::TooLong
        | VerifyErrorKind::UnknownTenant => refused,
        VerifyErrorKind::BodyIncomplete => StatusCode::BAD_REQUEST,
        VerifyErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        VerifyErrorKind::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        VerifyErrorKind::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        VerifyErrorKind::HandshakeRefused => StatusCode::FORBIDDEN,
        VerifyErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        VerifyErrorKind::OverBudget | VerifyErrorKind::SecretUnavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer to a request that did not pass. The scheme's `methods` are asked for only where they are told.
pub(super) fn response(
    error: &VerifyError,
    refused: StatusCode,
    methods: impl FnOnce() -> Vec<Method>,
) -> Response<Bytes> {
    let status = status(error.kind(), refused);
    let body: &'static str = match error.kind() {
        VerifyErrorKind::MethodNotAllowed => "",
        VerifyErrorKind::BodyIncomplete => r#"{"error":"incomplete_body"}"#,
        VerifyErrorKind::BodyTooLarge => r#"{"error":"body_too_large"}"#,
        VerifyErrorKind::BodyTooSlow => r#"{"error":"body_too_slow"}"#,
        VerifyErrorKind::ContentEncoding => r#"{"error":"unsupported_content_encoding"}"#,
        VerifyErrorKind::HandshakeRefused => r#"{"error":"forbidden"}"#,
        VerifyErrorKind::OverBudget | VerifyErrorKind::SecretUnavailable => r#"{"error":"unavailable"}"#,
        // One text for every authentication failure: the difference between them is what an attacker probes for.
        _ => r#"{"error":"invalid_signature"}"#,
    };
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110, section 15.5.6: the list is required.
        let list = methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(list) = HeaderValue::from_str(&list) {
            headers.insert(header::ALLOW, list);
        }
    }
    response
}

/// What a panicking handler is answered with.
pub(super) fn panicked() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(br#"{"error":"internal"}"#));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
