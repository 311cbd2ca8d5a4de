use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{body::ResponseBody, config::Config, verified::Acknowledged};
use crate::{
    answers::{Line, internal, unavailable},
    error::{VerifyError, VerifyErrorKind},
    observe,
};

/// The one table of statuses; docs/operating.md explains it. `rejected` is the scheme's status for authentication failures.
pub(super) fn status(kind: VerifyErrorKind, rejected: StatusCode) -> StatusCode {
    match kind {
        VerifyErrorKind::Ambiguous
        | VerifyErrorKind::AmbiguousText
        | VerifyErrorKind::MalformedSignature
        | VerifyErrorKind::MalformedTimestamp
        | VerifyErrorKind::Missing
        | VerifyErrorKind::OtherAccount
        | VerifyErrorKind::SignatureMismatch
        | VerifyErrorKind::Stale
        | VerifyErrorKind::TestSecret
        | VerifyErrorKind::TooLong
        | VerifyErrorKind::UnknownKey
        | VerifyErrorKind::UnknownTenant => rejected,
        VerifyErrorKind::BodyIncomplete => StatusCode::BAD_REQUEST,
        VerifyErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        VerifyErrorKind::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        VerifyErrorKind::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        VerifyErrorKind::HandshakeRejected => StatusCode::FORBIDDEN,
        VerifyErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        VerifyErrorKind::HandshakeFailed | VerifyErrorKind::OverBudget | VerifyErrorKind::SecretUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Creates the answer to a rejected request. The scheme's `methods` are only determined if the answer contains them.
pub(super) fn response(
    error: &VerifyError,
    rejected: StatusCode,
    methods: impl FnOnce() -> Vec<Method>,
) -> Response<Bytes> {
    let status = status(error.kind(), rejected);
    let line = match error.kind() {
        VerifyErrorKind::MethodNotAllowed => return not_allowed(&methods()),
        VerifyErrorKind::HandshakeFailed | VerifyErrorKind::OverBudget | VerifyErrorKind::SecretUnavailable => {
            return unavailable();
        }
        VerifyErrorKind::BodyIncomplete => Line::INCOMPLETE_BODY,
        VerifyErrorKind::BodyTooLarge => Line::BODY_TOO_LARGE,
        VerifyErrorKind::BodyTooSlow => Line::BODY_TOO_SLOW,
        VerifyErrorKind::ContentEncoding => Line::UNSUPPORTED_CONTENT_ENCODING,
        VerifyErrorKind::HandshakeRejected => Line::FORBIDDEN,
        _ => Line::INVALID_SIGNATURE,
    };
    line.response(status)
}

/// A 405, whose list of methods is required (RFC 9110, section 15.5.6).
fn not_allowed(methods: &[Method]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    if let Ok(list) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(header::ALLOW, list);
    }
    response
}

/// Creates the answer after a handler has panicked.
pub(super) fn panicked() -> Response<Bytes> {
    internal()
}

impl Config {
    /// Replaces a success of the crate itself with the answer that the sender requires, if there is one.
    pub(super) fn finish<R>(&self, response: Response<R>) -> Response<ResponseBody<R>> {
        if response.extensions().get::<Acknowledged>().is_none() {
            return response.map(ResponseBody::inner);
        }
        let Some(prescribed) = self.scheme.success() else { return response.map(ResponseBody::inner) };
        let (mut own, _) = response.into_parts();
        own.headers.remove(header::CONTENT_TYPE);
        own.headers.remove(header::CONTENT_LENGTH);
        let mut response = prescribed.into_response::<Bytes>().map(ResponseBody::own);
        response.headers_mut().extend(own.headers);
        *response.extensions_mut() = own.extensions;
        response
    }

    /// Logs the reason for the operator, and returns the response for the sender.
    pub(super) fn reject(&self, error: VerifyError) -> Response<Bytes> {
        let mut response = match &self.rejection {
            Some(rejection) => rejection(&error),
            None => response(&error, self.scheme.rejected(), || self.scheme.methods()),
        };
        observe::rejected(self.scheme.name(), response.status().as_u16(), &error);
        response.extensions_mut().insert(error);
        response
    }
}
