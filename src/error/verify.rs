use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::HeaderName;

use super::hint::Hint;
use crate::boxed::BoxError;

/// Why a request was rejected. Cheap to clone.
///
/// The sender only sees a status and one fixed line. This value is for the operator: it is in the extensions of the
/// response, and in one log event. It contains no payload, no secret and no signature.
///
/// ```
/// use std::time::SystemTime;
/// use http::Request;
/// use tower_webhooks::{Provider, Scheme, Secret, Secrets, error::VerifyErrorKind};
///
/// // A delivery from Stripe of 2023, which is verified in 2024.
/// let (head, ()) = Request::post("/").header("stripe-signature", format!("t=1700000000,v1={:064}", 0)).body(())?.into_parts();
/// let secrets = Secrets::new(Secret::new("whsec_of_this_endpoint")?);
/// let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_710_000_000);
/// let error = Scheme::from(Provider::STRIPE).verify(&head, "{}", &secrets, now).unwrap_err();
///
/// assert_eq!(error.kind(), VerifyErrorKind::Stale);
/// assert_eq!(error.kind().as_str(), "stale");
/// assert_eq!(error.skew_seconds(), Some(10_000_000));
/// assert_eq!(error.to_string(), "the timestamp is 10000000 s old");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    subject: Subject,
    skew: Option<i64>,
    /// Behind a pointer, to keep the error small: most errors have no hint.
    hint: Option<Arc<Hint>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why a request was rejected.
///
/// ```
/// use tower_webhooks::error::VerifyErrorKind;
///
/// // The word that logs, metrics and spans use.
/// assert_eq!(VerifyErrorKind::SignatureMismatch.as_str(), "signature_mismatch");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// A header or another part that must occur once occurs twice, or more often than is allowed.
    Ambiguous,
    /// The signed text could be read in another way: other values would have the same signature.
    AmbiguousText,
    /// The connection ended or failed before the body was complete.
    BodyIncomplete,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive within the deadline.
    BodyTooSlow,
    /// The body has a `Content-Encoding` that the scheme does not sign.
    ContentEncoding,
    /// A handshake could not be completed: what it asks to be called did not answer.
    HandshakeFailed,
    /// A handshake does not have the right token, or is not wanted.
    HandshakeRejected,
    /// The signature does not have the form that the scheme declares.
    MalformedSignature,
    /// The timestamp does not have the form that the scheme declares.
    MalformedTimestamp,
    /// The scheme's sender does not use this method.
    MethodNotAllowed,
    /// The signature, or another part that is signed, is missing.
    Missing,
    /// The message is for an account that the layer does not have. The sender signs for all its customers with the same
    /// key.
    OtherAccount,
    /// The memory budget for bodies is used up.
    OverBudget,
    /// There is no usable secret: the source failed or panicked, or has no secret, only expired ones, or one that the
    /// scheme cannot use.
    SecretUnavailable,
    /// The signature is well formed but does not match.
    SignatureMismatch,
    /// The timestamp is outside the window of the scheme, in the past or in the future.
    Stale,
    /// A test secret made the signature, and the delivery does not say that it is about test data.
    TestSecret,
    /// A signed part is longer than the limit.
    TooLong,
    /// The key that the request names is not one of the sender's.
    UnknownKey,
    /// The source of secrets says that the tenant does not exist.
    UnknownTenant,
}

impl VerifyErrorKind {
    /// The number of kinds, for tables that are indexed by them.
    #[cfg(any(feature = "dashboard", feature = "metrics"))]
    pub(crate) const COUNT: usize = 21;

    /// Returns the name of the kind in logs and metrics, one of a small, fixed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::AmbiguousText => "ambiguous_text",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::ContentEncoding => "content_encoding",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeRejected => "handshake_rejected",
            Self::MalformedSignature => "malformed_signature",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Missing => "missing",
            Self::OtherAccount => "other_account",
            Self::OverBudget => "over_budget",
            Self::SecretUnavailable => "secret_unavailable",
            Self::SignatureMismatch => "signature_mismatch",
            Self::Stale => "stale",
            Self::TestSecret => "test_secret",
            Self::TooLong => "too_long",
            Self::UnknownKey => "unknown_key",
            Self::UnknownTenant => "unknown_tenant",
        }
    }
}

/// Where the error is: a header, or another part by its name in the scheme. Never text of the sender.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Header(HeaderName),
    Named(Cow<'static, str>),
    Request,
}

impl VerifyError {
    /// Creates an error of `kind`, for a [`CustomScheme`](crate::scheme::CustomScheme).
    pub fn new(kind: VerifyErrorKind) -> Self {
        Self { kind, subject: Subject::Request, skew: None, hint: None, source: None }
    }

    /// Sets the header that the error is about.
    #[must_use]
    pub fn with_header(self, name: HeaderName) -> Self {
        self.with_subject(Subject::Header(name))
    }

    /// Sets the cause, for the operator.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn with_subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    pub(crate) fn with_skew(mut self, skew: i64) -> Self {
        self.skew = Some(skew);
        self
    }

    /// Adds a hint. A hint that exists already is more specific and stays.
    pub(crate) fn with_hint(mut self, hint: Option<Hint>) -> Self {
        if self.hint.is_none() {
            self.hint = hint.map(Arc::new);
        }
        self
    }

    /// Returns the likely cause, if it can be guessed. It is for the operator only and must not be sent to the network,
    /// since it helps an attacker. The log event of the rejection has it too.
    ///
    /// ```
    /// use http::Request;
    /// use tower_webhooks::{Provider, Scheme, Secret, Secrets, error::HintKind};
    ///
    /// // A delivery from GitHub arrives on the route for Stripe.
    /// let (head, ()) = Request::post("/").header("x-hub-signature-256", "sha256=00").body(())?.into_parts();
    /// let secrets = Secrets::new(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?);
    /// let error = Scheme::from(Provider::STRIPE).verify(&head, "{}", &secrets, std::time::SystemTime::UNIX_EPOCH).unwrap_err();
    ///
    /// assert_eq!(error.to_string(), "missing `stripe-signature` header");
    /// assert_eq!(error.hint().map(|hint| hint.kind()), Some(HintKind::OtherProvider));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hint(&self) -> Option<&Hint> {
        self.hint.as_deref()
    }

    /// Returns why the request was rejected.
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// Returns by how many seconds the timestamp is off, if that is the reason; the number is positive if the timestamp
    /// is in the past.
    pub fn skew_seconds(&self) -> Option<i64> {
        self.skew
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.kind {
            VerifyErrorKind::Ambiguous => write!(f, "{subject} occurs more often than allowed"),
            VerifyErrorKind::AmbiguousText => {
                write!(f, "{subject} could be read in another way, with the same signature")
            }
            VerifyErrorKind::BodyIncomplete => f.write_str("the body ended early"),
            VerifyErrorKind::BodyTooLarge => f.write_str("the body is larger than the limit"),
            VerifyErrorKind::BodyTooSlow => f.write_str("the body did not arrive within the deadline"),
            VerifyErrorKind::ContentEncoding => {
                f.write_str("the body has a `content-encoding`, which the scheme does not sign")
            }
            VerifyErrorKind::HandshakeFailed => f.write_str("the handshake could not be completed"),
            VerifyErrorKind::HandshakeRejected => {
                f.write_str("the handshake does not have the right token, or is not wanted")
            }
            VerifyErrorKind::MalformedSignature => {
                write!(f, "{subject} does not have the form of this scheme's signatures")
            }
            VerifyErrorKind::MalformedTimestamp => {
                write!(f, "{subject} does not have the form of this scheme's timestamps")
            }
            VerifyErrorKind::MethodNotAllowed => f.write_str("the scheme's sender does not use this method"),
            VerifyErrorKind::Missing => write!(f, "missing {subject}"),
            VerifyErrorKind::OtherAccount => {
                f.write_str("the message is about another account than those of the layer")
            }
            VerifyErrorKind::OverBudget => f.write_str("the memory budget for bodies is used up"),
            VerifyErrorKind::SecretUnavailable => f.write_str("no usable secret is available"),
            VerifyErrorKind::SignatureMismatch => f.write_str("the signature does not match any secret"),
            VerifyErrorKind::Stale => match self.skew {
                Some(skew) if skew < 0 => write!(f, "the timestamp is {} s in the future", skew.unsigned_abs()),
                Some(skew) => write!(f, "the timestamp is {skew} s old"),
                None => f.write_str("the timestamp is outside the window"),
            },
            VerifyErrorKind::TestSecret => f.write_str(
                "a test secret made the signature, and the delivery does not say that it is about test data",
            ),
            VerifyErrorKind::UnknownKey => f.write_str("the key that the request names is not one of the sender's"),
            VerifyErrorKind::UnknownTenant => f.write_str("the source of secrets does not know the tenant"),
            VerifyErrorKind::TooLong => write!(f, "{subject} is longer than allowed"),
        }
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "`{name}` header"),
            Self::Named(name) => write!(f, "{name}"),
            Self::Request => f.write_str("the request"),
        }
    }
}
