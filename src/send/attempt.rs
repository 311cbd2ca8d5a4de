use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    boxed::{BoxError, BoxFuture},
    net::destination::EndpointUrl,
    observe::AttemptEnd,
};

/// Makes attempts. [`GuardedClient`](crate::send::GuardedClient) is the one to use; tests have their own.
///
/// An attempt never fails to give a result, and ends by its deadline. A transport of your own has to see to both: nobody else ends
/// an attempt of [`deliver`](crate::send::deliver), while a worker ends it a moment after its deadline.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use tower_webhooks::{
///     BoxFuture, Secret,
///     send::{Answer, AttemptRequest, AttemptResult, DeliverErrorKind, Message, Signer, Target, Transport, deliver},
/// };
///
/// /// Sends nothing, and answers what the path asks for.
/// struct Pretend;
///
/// impl Transport for Pretend {
///     fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
///         assert!(request.headers().contains_key("webhook-signature"));
///         let gone = request.url().as_str().ends_with("/gone");
///         let answer = Answer::new(if gone { StatusCode::GONE } else { StatusCode::OK });
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
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        (**self).send(request)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        (**self).send(request)
    }
}

/// One HTTP try of a delivery: a POST of `body` with signed headers.
#[derive(Clone)]
pub struct AttemptRequest {
    pub(crate) url: EndpointUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Option<Duration>,
}

impl AttemptRequest {
    /// Creates a request. The headers are the signer's, and the endpoint's own; what HTTP itself needs is the transport's
    /// to say.
    pub fn new(url: EndpointUrl, headers: HeaderMap, body: Bytes) -> Self {
        Self { url, headers, body, timeout: None }
    }

    /// Sets the deadline of this attempt, where it is shorter than the transport's own.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Where it goes.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
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

/// How an attempt ended: an answer, or an error.
#[derive(Debug, Clone)]
pub struct AttemptResult {
    result: Result<Answer, AttemptError>,
    duration: Duration,
}

impl AttemptResult {
    /// An endpoint answered.
    pub fn answered(answer: Answer, duration: Duration) -> Self {
        Self { result: Ok(answer), duration }
    }

    /// There is no answer.
    pub fn failed(error: AttemptError, duration: Duration) -> Self {
        Self { result: Err(error), duration }
    }

    /// What the endpoint answered, if it did, whatever its status.
    pub fn answer(&self) -> Option<&Answer> {
        self.result.as_ref().ok()
    }

    /// Why there is no answer.
    pub fn error(&self) -> Option<&AttemptError> {
        self.result.as_ref().err()
    }

    /// The answer's status.
    pub fn status(&self) -> Option<StatusCode> {
        self.answer().map(Answer::status)
    }

    /// How long the attempt took, from the look-up of the name to the last byte that was read.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Why the attempt did not deliver; `None` if it did.
    pub fn error_kind(&self) -> Option<AttemptErrorKind> {
        match &self.result {
            Ok(answer) if answer.status.is_success() => None,
            Ok(answer) if answer.status.is_redirection() => Some(AttemptErrorKind::Redirect),
            Ok(_) => Some(AttemptErrorKind::Status),
            Err(error) => Some(error.kind),
        }
    }

    /// What the operator is told of it.
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
            answer.start.truncate(Answer::MAX_KEPT);
        }
    }

    /// Tells what the attempt means for its delivery.
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
/// Complete: a [`RetryPolicy`](crate::send::RetryPolicy) decides on these and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // Who writes a policy of their own must see every case.
pub enum Outcome {
    /// A 2xx.
    Delivered,
    /// It may work at another time: 408, 409, 425, 429, 5xx, 3xx, anything unknown, and every failure on the way.
    Failed {
        /// How long the receiver wants not to be asked.
        retry_after: Option<Duration>,
    },
    /// 410: the receiver is gone for good.
    Gone,
    /// Another 4xx, or a destination that is not allowed: it will not work until somebody changes something.
    Rejected {
        /// How long the receiver wants not to be asked.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// Tells what a status means.
    pub fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status.as_u16() {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            408 | 409 | 425 | 429 => Self::Failed { retry_after },
            400..=499 => Self::Rejected { retry_after },
            _ => Self::Failed { retry_after },
        }
    }

    /// The outcome's name in logs and metrics: a fixed, small vocabulary.
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
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    start: Bytes,
    end: AnswerEnd,
}

impl Answer {
    /// The most that is kept of an answer's body: 16 KiB.
    pub const MAX_KEPT: usize = 16 * 1024;

    /// Creates an answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, retry_after: None, start: Bytes::new(), end: AnswerEnd::Whole }
    }

    /// Sets how long the receiver wants not to be asked.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Sets the body's start, of which no more than [`MAX_KEPT`](Self::MAX_KEPT) bytes are kept, and how it ended.
    #[must_use]
    pub fn with_body(mut self, start: Bytes, end: AnswerEnd) -> Self {
        self.end = if start.len() > Self::MAX_KEPT && end == AnswerEnd::Whole { AnswerEnd::Shortened } else { end };
        self.start = start;
        self.start.truncate(Self::MAX_KEPT);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// How long the receiver wants not to be asked, where it said so in a way that can be understood; 24 h at most.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The start of the body, as it came: any bytes at all. Whoever shows it must escape it.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// How the body ended.
    pub fn end(&self) -> AnswerEnd {
        self.end
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("kept", &self.start.len())
            .field("end", &self.end)
            .finish()
    }
}

/// How the body of an answer ended. It decides nothing: the status does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerEnd {
    /// The connection broke before the body's end.
    Cut,
    /// The deadline came before the body's end.
    Deadline,
    /// It was longer than is read (64 KiB), and the connection was closed.
    Limit,
    /// It was read to its end, and more than is kept.
    Shortened,
    /// All of it was read and kept.
    Whole,
}

impl AnswerEnd {
    /// The end's name in logs: a fixed, small vocabulary.
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

/// There is no answer, and why.
///
/// The text names no address: it may be shown to whoever registered the endpoint. What is behind it is in `source()`, for
/// the operator.
#[derive(Debug, Clone)]
pub struct AttemptError {
    kind: AttemptErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why an attempt did not deliver.
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
    /// The connection broke, or what came is not HTTP.
    Protocol,
    /// The egress proxy, which the operator has named, gave no way to the endpoint.
    Proxy,
    /// The endpoint answered with a redirect, which is never followed.
    Redirect,
    /// The policy does not allow the URL, or any address of its name.
    RefusedDestination,
    /// The endpoint answered with a status that is neither a success nor a redirect.
    Status,
    /// The deadline came first.
    Timeout,
    /// TLS failed otherwise.
    Tls,
    /// The certificate has expired, or is not valid yet.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// The certificate is of nobody we trust: self-signed, of an unknown authority, or revoked.
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
        Self::Tls,
        Self::TlsExpired,
        Self::TlsName,
        Self::TlsUntrusted,
    ];

    /// The kind's name in logs, stores and metrics: a fixed, small vocabulary.
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
            Self::Tls => "tls",
            Self::TlsExpired => "tls_expired",
            Self::TlsName => "tls_name",
            Self::TlsUntrusted => "tls_untrusted",
        }
    }
}

impl AttemptError {
    /// Creates an error of `kind`, for a [`Transport`].
    pub fn new(kind: AttemptErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Sets the cause, for the operator.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Tells why.
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
            AttemptErrorKind::Proxy => "the egress proxy gave no way to the destination",
            AttemptErrorKind::Redirect => "the answer is a redirect, which is not followed",
            AttemptErrorKind::RefusedDestination => "the destination is not one that deliveries may go to",
            AttemptErrorKind::Status => "the answer's status is no success",
            AttemptErrorKind::Timeout => "the deadline came first",
            AttemptErrorKind::Tls => "TLS failed",
            AttemptErrorKind::TlsExpired => "the certificate has expired, or is not valid yet",
            AttemptErrorKind::TlsName => "the certificate is for another name",
            AttemptErrorKind::TlsUntrusted => "the certificate is of nobody that is trusted here",
        })
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
