use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    boxed::{BoxError, BoxFuture},
    net::{destination::EndpointUrl, identity::ClientIdentity},
    observe::AttemptEnd,
};

/// Makes attempts. [`GuardedClient`](crate::send::GuardedClient) sends over HTTP and is the default. Implement this
/// trait for tests, or to put deliveries on a queue.
///
/// Every attempt returns a result, and ends by its deadline. Your own transport has to ensure both:
/// [`deliver`](crate::send::deliver) does not end an attempt itself, and a worker ends it a moment after the deadline.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use tower_webhooks::{
///     BoxFuture, Secret,
///     send::{AttemptRequest, AttemptResult, DeliverErrorKind, EndpointResponse, Message, Signer, Target, Transport, deliver},
/// };
///
/// /// Sends nothing, and answers what the path asks for.
/// struct Pretend;
///
/// impl Transport for Pretend {
///     fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
///         assert!(request.headers().contains_key("webhook-signature"));
///         let gone = request.url().as_str().ends_with("/gone");
///         let answer = EndpointResponse::new(if gone { StatusCode::GONE } else { StatusCode::OK });
///         Box::pin(std::future::ready(AttemptResult::answered(answer, Duration::ZERO)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let signer = Signer::standard_webhooks(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?)?;
/// let message = Message::new("order.completed", &[7])?;
///
/// let there = Target::new("https://example.com/hook".parse()?, signer.clone());
/// assert_eq!(deliver(&Pretend, &there, &message).await?.attempts().len(), 1);
///
/// let gone = Target::new("https://example.com/gone".parse()?, signer);
/// assert_eq!(deliver(&Pretend, &gone, &message).await.unwrap_err().kind(), DeliverErrorKind::Gone);
/// # Ok(()) }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt.
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult>;

    /// Returns `true` if [`send`](Self::send) also accepts requests for an endpoint's access token and returns the
    /// response of the token server. Such a request contains the secret of the endpoint's
    /// [`ClientCredentials`](crate::send::ClientCredentials). The default is `false`, since a transport that stores its
    /// requests would store the secret. Attempts that need a token then fail with [`Token`](AttemptErrorKind::Token).
    fn fetches_tokens(&self) -> bool {
        false
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        (**self).send(request)
    }

    fn fetches_tokens(&self) -> bool {
        (**self).fetches_tokens()
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        (**self).send(request)
    }

    fn fetches_tokens(&self) -> bool {
        (**self).fetches_tokens()
    }
}

/// One attempt at a delivery: a POST request with a body and signed headers.
///
/// ```
/// use std::time::Duration;
/// use axum::{body::Bytes, http::HeaderMap};
/// use tower_webhooks::send::{AttemptRequest, DestinationPolicy};
///
/// let url = DestinationPolicy::default().endpoint("https://hooks.example.com/in")?;
/// let request = AttemptRequest::new(url, HeaderMap::new(), Bytes::from_static(b"{}")).timeout(Duration::from_secs(5));
/// assert_eq!(request.body().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AttemptRequest {
    pub(crate) url: EndpointUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) identity: Option<ClientIdentity>,
}

impl AttemptRequest {
    /// Creates a request. The headers are those of the signer and of the endpoint. The transport adds what HTTP itself needs.
    pub fn new(url: EndpointUrl, headers: HeaderMap, body: Bytes) -> Self {
        Self { url, headers, body, timeout: None, identity: None }
    }

    /// Sets a deadline for this attempt. It counts if it is shorter than that of the transport.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the client certificate for the receiver, in place of that of the transport.
    #[must_use]
    pub fn client_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Returns the destination.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for AttemptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither headers, which may authenticate, nor the body, which is the customers'.
        f.debug_struct("AttemptRequest").field("url", &self.url).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// How an attempt ended: with an answer, or with an error.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use tower_webhooks::send::{AttemptErrorKind, AttemptResult, EndpointResponse, Outcome};
///
/// let busy = EndpointResponse::new(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(Duration::from_secs(60));
/// let result = AttemptResult::answered(busy, Duration::from_millis(80));
///
/// assert_eq!(result.outcome(), Outcome::Failed { retry_after: Some(Duration::from_secs(60)) });
/// assert_eq!(result.error_kind(), Some(AttemptErrorKind::Status));
/// ```
#[derive(Debug, Clone)]
pub struct AttemptResult {
    result: Result<EndpointResponse, AttemptError>,
    duration: Duration,
}

impl AttemptResult {
    /// Creates the result of an attempt that the endpoint answered.
    pub fn answered(answer: EndpointResponse, duration: Duration) -> Self {
        Self { result: Ok(answer), duration }
    }

    /// Creates the result of an attempt that failed without an answer.
    pub fn failed(error: AttemptError, duration: Duration) -> Self {
        Self { result: Err(error), duration }
    }

    /// Returns what the endpoint answered, whatever its status. `None` if it did not answer.
    pub fn response(&self) -> Option<&EndpointResponse> {
        self.result.as_ref().ok()
    }

    /// Returns why the endpoint did not answer. `None` if it did.
    pub fn error(&self) -> Option<&AttemptError> {
        self.result.as_ref().err()
    }

    /// Returns the status of the answer. `None` if there was no answer.
    pub fn status(&self) -> Option<StatusCode> {
        self.response().map(EndpointResponse::status)
    }

    /// Returns how long the attempt took, from the look-up of the name to the last byte that was read.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns why the attempt did not deliver. `None` if it did.
    pub fn error_kind(&self) -> Option<AttemptErrorKind> {
        match &self.result {
            Ok(answer) if answer.status.is_success() => None,
            Ok(answer) if answer.status.is_redirection() => Some(AttemptErrorKind::Redirect),
            Ok(_) => Some(AttemptErrorKind::Status),
            Err(error) => Some(error.kind),
        }
    }

    /// Returns what is logged and counted of the attempt.
    pub(super) fn seen(&self) -> AttemptEnd<'_> {
        let kind = self.error_kind();
        AttemptEnd {
            outcome: self.outcome().as_str(),
            status: self.status().map(|status| status.as_u16()),
            reason: kind.map(AttemptErrorKind::as_str),
            refused: kind == Some(AttemptErrorKind::RefusedDestination),
            kept_in: kind == Some(AttemptErrorKind::Proxy),
            cause: self.error().and_then(Error::source),
            duration: self.duration,
        }
    }

    /// Changes what is kept of the answer.
    pub(super) fn keep(&mut self, kept: impl FnOnce(Bytes) -> Bytes) {
        if let Ok(answer) = &mut self.result {
            answer.start = kept(std::mem::take(&mut answer.start));
            answer.start.truncate(EndpointResponse::MAX_KEPT);
        }
    }

    /// Returns what the attempt means for its delivery.
    pub fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(answer) => Outcome::of_status(answer.status, answer.retry_after),
            Err(error) if error.kind == AttemptErrorKind::RefusedDestination => Outcome::Rejected { retry_after: None },
            Err(_) => Outcome::Failed { retry_after: None },
        }
    }
}

/// What an attempt means for its delivery.
///
/// The list is complete: a [`RetryPolicy`](crate::send::RetryPolicy) decides by these outcomes only.
///
/// ```
/// use http::StatusCode;
/// use tower_webhooks::send::Outcome;
///
/// assert_eq!(Outcome::of_status(StatusCode::NO_CONTENT, None), Outcome::Delivered);
/// assert_eq!(Outcome::of_status(StatusCode::GONE, None), Outcome::Gone);
/// assert_eq!(Outcome::of_status(StatusCode::UNAUTHORIZED, None), Outcome::Rejected { retry_after: None });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A policy of the application's own must see every case.
pub enum Outcome {
    /// The status is a 2xx.
    Delivered,
    /// It may work later: the status is 408, 409, 425, 429, 5xx, 3xx or unknown, or the attempt failed without an answer.
    Failed {
        /// How long the receiver asks the sender to wait.
        retry_after: Option<Duration>,
    },
    /// The status is 410: the receiver is permanently gone.
    Gone,
    /// The status is another 4xx, or the destination is not allowed. It will not work until somebody changes something.
    Rejected {
        /// How long the receiver asks the sender to wait.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// Returns what a status means.
    pub fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status.as_u16() {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            408 | 409 | 425 | 429 => Self::Failed { retry_after },
            400..=499 => Self::Rejected { retry_after },
            _ => Self::Failed { retry_after },
        }
    }

    /// Returns the outcome's name in logs and metrics, which is one of a fixed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed { .. } => "failed",
            Self::Gone => "gone",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// What an endpoint answered.
///
/// ```
/// use http::StatusCode;
/// use tower_webhooks::send::{EndpointResponse, ResponseEnd};
///
/// let answer = EndpointResponse::new(StatusCode::OK).with_body("x".repeat(20_000).into(), ResponseEnd::Whole);
/// assert_eq!(answer.start().len(), EndpointResponse::MAX_KEPT);
/// assert_eq!(answer.end(), ResponseEnd::Shortened);
/// ```
#[derive(Clone)]
pub struct EndpointResponse {
    status: StatusCode,
    retry_after: Option<Duration>,
    start: Bytes,
    end: ResponseEnd,
}

impl EndpointResponse {
    /// The maximum number of bytes that are kept of an answer's body: 16 KiB.
    pub const MAX_KEPT: usize = 16 * 1024;

    /// Creates an answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, retry_after: None, start: Bytes::new(), end: ResponseEnd::Whole }
    }

    /// Sets how long the receiver asks the sender to wait.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Sets the body's start, of which no more than [`MAX_KEPT`](Self::MAX_KEPT) bytes are kept, and how it ended.
    #[must_use]
    pub fn with_body(mut self, start: Bytes, end: ResponseEnd) -> Self {
        self.end = if start.len() > Self::MAX_KEPT && end == ResponseEnd::Whole { ResponseEnd::Shortened } else { end };
        self.start = start;
        self.start.truncate(Self::MAX_KEPT);
        self
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns how long the receiver asks the sender to wait, at most 24 h. `None` if it did not ask, or not in a valid form.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the start of the body as received. It can be any bytes: escape it before you show it.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// Returns how the body ended.
    pub fn end(&self) -> ResponseEnd {
        self.end
    }
}

impl fmt::Debug for EndpointResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointResponse")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("kept", &self.start.len())
            .field("end", &self.end)
            .finish()
    }
}

/// How the body of an answer ended. It has no effect on the outcome, which depends only on the status.
///
/// ```
/// use tower_webhooks::send::{EndpointResponse, ResponseEnd};
///
/// /// The kept part of an answer, with a mark if it is not all of it.
/// fn excerpt(answer: &EndpointResponse) -> String {
///     let text = String::from_utf8_lossy(answer.start());
///     if answer.end() == ResponseEnd::Whole { text.into_owned() } else { format!("{text}…") }
/// }
/// # let _ = excerpt;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseEnd {
    /// The connection broke before the body's end.
    Cut,
    /// The deadline came before the body's end.
    Deadline,
    /// It was longer than the limit of 64 KiB, and the connection was closed.
    Limit,
    /// It was read to its end, but only its start was kept.
    Shortened,
    /// All of it was read and kept.
    Whole,
}

impl ResponseEnd {
    /// Returns the name of this end in logs, which is one of a fixed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Shortened => "shortened",
            Self::Whole => "whole",
        }
    }
}

/// Why an endpoint did not answer.
///
/// The text names no address, so it may be shown to whoever registered the endpoint. The cause is in `source()`, for the
/// operator.
///
/// ```
/// use std::{error::Error, io};
/// use tower_webhooks::send::{AttemptError, AttemptErrorKind};
///
/// let error = AttemptError::new(AttemptErrorKind::Connect).with_source(io::Error::from(io::ErrorKind::ConnectionRefused));
/// assert_eq!(error.to_string(), "no connection could be made");
/// assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("connection refused"));
/// ```
#[derive(Debug, Clone)]
pub struct AttemptError {
    kind: AttemptErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why an attempt did not deliver.
///
/// ```
/// use tower_webhooks::send::AttemptErrorKind;
///
/// assert_eq!(AttemptErrorKind::TlsExpired.as_str(), "tls_expired");
/// assert!(AttemptErrorKind::ALL.contains(&AttemptErrorKind::Timeout));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptErrorKind {
    /// No connection could be made, or not within its time.
    Connect,
    /// The payload could not be converted to the endpoint's version of the API. Nothing was sent, and it is not the
    /// endpoint's fault.
    Conversion,
    /// The name has no address, or could not be looked up.
    Dns,
    /// The connection broke, or the received bytes are not HTTP.
    Protocol,
    /// The operator's egress proxy did not connect to the endpoint.
    Proxy,
    /// The endpoint answered with a redirect, which is never followed.
    Redirect,
    /// The policy does not allow the URL, or any address of its name.
    RefusedDestination,
    /// The endpoint answered with a status that is neither a success nor a redirect.
    Status,
    /// The attempt did not end before its deadline.
    Timeout,
    /// No access token could be obtained from the endpoint's authorization server. Nothing was sent to the endpoint.
    Token,
    /// TLS failed in another way.
    Tls,
    /// The certificate has expired, or is not valid yet.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// The certificate is not trusted: it is self-signed, revoked, or signed by an unknown authority.
    TlsUntrusted,
}

impl AttemptErrorKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::Conversion,
        Self::Dns,
        Self::Protocol,
        Self::Proxy,
        Self::Redirect,
        Self::RefusedDestination,
        Self::Status,
        Self::Timeout,
        Self::Token,
        Self::Tls,
        Self::TlsExpired,
        Self::TlsName,
        Self::TlsUntrusted,
    ];

    /// Returns the kind's name in logs, stores and metrics, which is one of a fixed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Conversion => "conversion",
            Self::Dns => "dns",
            Self::Protocol => "protocol",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::RefusedDestination => "refused_destination",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Token => "token",
            Self::Tls => "tls",
            Self::TlsExpired => "tls_expired",
            Self::TlsName => "tls_name",
            Self::TlsUntrusted => "tls_untrusted",
        }
    }
}

impl AttemptError {
    /// Creates an error, for a [`Transport`].
    pub fn new(kind: AttemptErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Sets the cause, for the operator.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> AttemptErrorKind {
        self.kind
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            AttemptErrorKind::Connect => "no connection could be made",
            AttemptErrorKind::Conversion => "the payload could not be converted to the endpoint's API version",
            AttemptErrorKind::Dns => "the name could not be resolved",
            AttemptErrorKind::Protocol => "the connection broke, or the answer is not HTTP",
            AttemptErrorKind::Proxy => "the egress proxy did not connect to the destination",
            AttemptErrorKind::Redirect => "the answer is a redirect, which is not followed",
            AttemptErrorKind::RefusedDestination => "the destination is not one that deliveries may go to",
            AttemptErrorKind::Status => "the answer's status is not a success",
            AttemptErrorKind::Timeout => "the attempt did not end before its deadline",
            AttemptErrorKind::Token => "the endpoint's authorization server gave no access token",
            AttemptErrorKind::Tls => "TLS failed",
            AttemptErrorKind::TlsExpired => "the certificate has expired, or is not valid yet",
            AttemptErrorKind::TlsName => "the certificate is for another name",
            AttemptErrorKind::TlsUntrusted => "the certificate is not trusted",
        })
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
