use std::{collections::BTreeMap, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, header::HeaderBuilder, schema::Object},
};

use crate::{
    error::StoreError,
    observe,
    send::{RateLimit, SendError, SendErrorKind},
};

/// An error, as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": "invalid",
    "detail": "a field is invalid",
    "errors": [{ "pointer": "#/url", "detail": "the URL has to begin with `https://`" }]
}))]
pub(super) struct Problem {
    /// Always `about:blank`, so the title is the phrase of the status; see `code`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The phrase of the status.
    title: &'static str,
    /// The status code.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind of the error, as a word for programs.
    #[schema(example = "invalid")]
    code: &'static str,
    /// A description of the error for people.
    detail: String,
    /// The invalid fields or parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// One field or parameter that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
struct Fault {
    /// The field of the request's body, as a JSON pointer in a URI fragment (RFC 6901, section 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "#/url", nullable = false)]
    pointer: Option<String>,
    /// The query parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameter: Option<&'static str>,
    /// What is valid.
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The body is not JSON.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// A field of the body is invalid; `path` is where it is, with slashes between its parts.
    pub(super) fn field(path: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "a field is invalid");
        let pointer = if path.is_empty() { "#".to_owned() } else { format!("#/{}", fragment(path)) };
        problem.errors.push(Fault { pointer: Some(pointer), parameter: None, detail: detail.into() });
        problem
    }

    /// The same with 400, for requests whose form is invalid.
    pub(super) fn bad_request(mut self) -> Self {
        self.status = StatusCode::BAD_REQUEST.as_u16();
        self.title = "Bad Request";
        self
    }

    /// A query parameter or header is invalid.
    pub(super) fn parameter(name: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", "a parameter is invalid");
        problem.errors.push(Fault { pointer: None, parameter: Some(name), detail: detail.into() });
        problem
    }

    /// A query parameter has a value of the right form that cannot be.
    pub(super) fn impossible(name: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self::parameter(name, detail);
        problem.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
        problem.title = "Unprocessable Entity";
        problem
    }

    pub(super) fn query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    pub(super) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site", "a page of another site must not make changes")
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "see the `Allow` header")
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(super) fn stale() -> Self {
        let detail = "the endpoint does not match `If-Match`; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
    }

    pub(super) fn precondition_required() -> Self {
        let detail = "send `If-Match` with the `ETag` of the endpoint that you have read";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("a body is at most {most} bytes long");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub(super) fn too_slow(most: Duration) -> Self {
        let detail = format!("a body has to arrive within {} s", most.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail)
    }

    pub(super) fn content_type() -> Self {
        let detail = "a body is JSON, with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The key of a repeated request was used for another one.
    pub(super) fn other_request() -> Self {
        let detail = "the `Idempotency-Key` was used for another request";
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail);
        let detail = "use a new key for a new request".to_owned();
        problem.errors.push(Fault { pointer: None, parameter: Some("Idempotency-Key"), detail });
        problem
    }

    /// The first of two equal requests is still being handled.
    pub(super) fn in_flight(retry_after: u64) -> Self {
        let detail = "a request with this `Idempotency-Key` is being handled";
        Self::new(StatusCode::CONFLICT, "in_flight", detail).retry_after(retry_after)
    }

    pub(super) fn rate_limited(most: RateLimit, retry_after: u64) -> Self {
        let detail = format!("the tenant calls more often than {most}; wait as long as `Retry-After` says");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(retry_after)
    }

    pub(super) fn internal() -> Self {
        let detail = "the request could not be handled; the log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(super) fn unavailable() -> Self {
        let detail = "the request could not be handled now; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(RETRY_AFTER)
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error.kind() {
            SendErrorKind::Conflict => {
                Self::conflict("message_exists", "there is another message under this id; nothing was stored")
            }
            SendErrorKind::Disabled => Self::conflict("endpoint_disabled", "the endpoint is disabled; enable it first"),
            SendErrorKind::Invalid => Self::field(error.field().unwrap_or_default(), error.to_string()),
            SendErrorKind::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            SendErrorKind::Stale => Self::stale(),
            SendErrorKind::TooMany => {
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota", error.to_string());
                problem.retry_after(QUOTA_RETRY_AFTER)
            }
            SendErrorKind::Store => {
                observe::api_failed(&error);
                Self::unavailable()
            }
            _ => {
                observe::api_failed(&error);
                Self::internal()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        observe::api_failed(&error);
        Self::unavailable()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Percent-encodes what a URI fragment cannot hold (RFC 3986, section 3.5).
fn fragment(path: &str) -> String {
    const LEFT_AS_IT_IS: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(path, LEFT_AS_IT_IS).to_string()
}

/// The problems that a kind of route can have, for the OpenAPI document.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal: $description:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                [$(($status, $description)),*].into_iter().map(described).collect()
            }
        }
    )*};
}

problems! {
    /// For every route behind `Authorize`.
    Always {
        "401": "Not authorized; the body is the application's.",
        "403": "Not allowed for this caller, or sent by a page of another site.",
        "429": "The tenant calls too often.",
        "500": "The request could not be handled.",
        "503": "The store cannot be reached.",
    }
    /// For routes with query parameters.
    BadQuery { "400": "A query parameter is unknown or invalid." }
    /// For routes with parameters that have to fit each other.
    BadSpan { "422": "A query parameter has an invalid value, such as a time span that ends before it begins." }
    /// For routes with an id.
    NoSuch { "404": "It does not exist, or it belongs to another tenant." }
    /// For routes that take a body.
    BadBody {
        "400": "The body is not JSON, or a parameter is invalid.",
        "408": "The body did not arrive in time.",
        "409": "A request with this `Idempotency-Key` is being handled, or the present state does not allow this.",
        "413": "The body is too large.",
        "415": "The body is not `application/json`.",
        "422": "A field is invalid, or the `Idempotency-Key` was used for another request.",
    }
    /// For routes that create something that has a quota.
    Quota { "429": "The quota is used up, or the tenant calls too often." }
    /// For routes that use `If-Match`.
    Precondition {
        "412": "The endpoint does not match `If-Match`.",
        "428": "The application requires `If-Match`.",
    }
}

fn described((status, description): (&str, &str)) -> (String, RefOr<utoipa::openapi::Response>) {
    let mut response = ResponseBuilder::new().description(description);
    if status != "401" {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        response = response.content(CONTENT_TYPE, content);
    }
    if matches!(status, "429" | "503") {
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(utoipa::openapi::schema::Type::Integer)))
            .description(Some("The number of seconds after which to try again."))
            .build();
        response = response.header("Retry-After", seconds);
    }
    (status.to_owned(), RefOr::T(response.build()))
}

const CONTENT_TYPE: &str = "application/problem+json";

/// In seconds: a store that is down or busy usually recovers soon.
const RETRY_AFTER: u64 = 1;

/// In seconds: a quota has room again only after somebody has removed something.
const QUOTA_RETRY_AFTER: u64 = 60;
