use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// A response that a scheme requires: to a handshake, for a success, or for an event type that no handler wants. Cheap
/// to clone.
///
/// ```
/// use axum::{body::Body, http::StatusCode};
/// use tower_webhooks::scheme::Answer;
///
/// let answer = Answer::new(StatusCode::OK).json(r#"{"ok":true}"#);
/// let response = answer.into_response::<Body>();
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Answer {
    /// Creates an answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Sets a plain text body. A header tells browsers not to interpret it as anything else, since the text may come
    /// from a stranger.
    pub fn text(self, body: impl Into<Bytes>) -> Self {
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
            .header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .body(body)
    }

    /// Sets a JSON body.
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body)
    }

    /// Sets an XML body.
    pub(crate) fn xml(self, body: impl Into<Bytes>) -> Self {
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/xml")).body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Converts the answer into an HTTP response.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let mut response = Response::new(B::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
