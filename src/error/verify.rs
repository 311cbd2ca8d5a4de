use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::HeaderName;

use super::hint::Hint;
use crate::boxed::BoxError;

/// A request that did not pass, and why. Cheap to clone.
///
/// The network is told a status and one fixed line. This value is for the operator: it is in the response's extensions,
/// and in one log event. It holds no payload, no secret and no signature.
#[derive(Debug, Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    subject: Subject,
    skew: Option<i64>,
    /// Behind one pointer, since almost no error has one.
    hint: Option<Arc<Hint>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why a request did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// Something that must be there once is there twice, or too often to be looked at.
    Ambiguous,
    /// The signed text could be read in another way, with other values in it and the same signature.
    AmbiguousText,
    /// The connection ended, or failed, before the body did.
    BodyIncomplete,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive within the deadline.
    BodyTooSlow,
    /// The body has a `Content-Encoding` that the scheme does not sign.
    ContentEncoding,
    /// A handshake without the right token.
    HandshakeRejected,
    /// The signature is not of the scheme's form.
    MalformedSignature,
    /// The timestamp is not of the scheme's form.
    MalformedTimestamp,
    /// The scheme does not send this method.
    MethodNotAllowed,
    /// The signature, or something that is signed with it, is not there.
    Missing,
    /// The memory budget for bodies is spent.
    OverBudget,
    /// There is no usable secret: the source failed or panicked, or has none, or only ones that have ended, or one that the
    /// scheme cannot use.
    SecretUnavailable,
    /// The signature is well formed and wrong.
    SignatureMismatch,
    /// The timestamp is too far from now.
    Stale,
    /// A test secret made the signature, and the delivery does not say that it is about test data.
    TestSecret,
    /// Something that is signed is longer than any sender makes it.
    TooLong,
    /// The source of secrets is certain that the tenant does not exist.
    UnknownTenant,
}

impl VerifyErrorKind {
    /// How many kinds there are, for tables that are indexed by them.
    #[cfg(feature = "metrics")]
    pub(crate) const COUNT: usize = 18;

    /// The kind's name in logs and metrics: a fixed, small vocabulary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::AmbiguousText => "ambiguous_text",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::ContentEncoding => "content_encoding",
            Self::HandshakeRejected => "handshake_rejected",
            Self::MalformedSignature => "malformed_signature",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Missing => "missing",
            Self::OverBudget => "over_budget",
            Self::SecretUnavailable => "secret_unavailable",
            Self::SignatureMismatch => "signature_mismatch",
            Self::Stale => "stale",
            Self::TestSecret => "test_secret",
            Self::TooLong => "too_long",
            Self::UnknownTenant => "unknown_tenant",
        }
    }
}

/// Where the error is: a header, or something else by its name in the scheme. Never text of the sender's.
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

    /// Names the header that the error is about.
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

    /// Adds what is likely wrong; a hint that is there already is the better one.
    pub(crate) fn with_hint(mut self, hint: Option<Hint>) -> Self {
        if self.hint.is_none() {
            self.hint = hint.map(Arc::new);
        }
        self
    }

    /// Tells what is likely wrong, where that can be guessed. It is for the operator, and never for the network: it would
    /// tell an attacker what to try next. It is in the log event of the rejection as well.
    ///
    /// ```
    /// use http::Request;
    /// use tower_webhooks::{Provider, Scheme, Secret, Secrets, error::HintKind};
    ///
    /// // A delivery of GitHub's, on Stripe's route.
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

    /// Tells why the request did not pass.
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// Tells by how many seconds the timestamp is off, if that is the reason: positive when it lies in the past.
    pub fn skew_seconds(&self) -> Option<i64> {
        self.skew
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.kind {
            VerifyErrorKind::Ambiguous => write!(f, "{subject} occurs more often than it may"),
            VerifyErrorKind::AmbiguousText => {
                write!(f, "{subject} could be read in another way, with the same signature")
            }
            VerifyErrorKind::BodyIncomplete => f.write_str("the body ended early"),
            VerifyErrorKind::BodyTooLarge => f.write_str("the body is larger than the limit"),
            VerifyErrorKind::BodyTooSlow => f.write_str("the body did not arrive within the deadline"),
            VerifyErrorKind::ContentEncoding => {
                f.write_str("the body has a `content-encoding`, which the scheme does not sign")
            }
            VerifyErrorKind::HandshakeRejected => f.write_str("the handshake does not carry the right token"),
            VerifyErrorKind::MalformedSignature => {
                write!(f, "{subject} does not hold a signature of the scheme's form")
            }
            VerifyErrorKind::MalformedTimestamp => {
                write!(f, "{subject} does not hold a timestamp of the scheme's form")
            }
            VerifyErrorKind::MethodNotAllowed => f.write_str("the scheme does not send this method"),
            VerifyErrorKind::Missing => write!(f, "missing {subject}"),
            VerifyErrorKind::OverBudget => f.write_str("the memory budget for bodies is spent"),
            VerifyErrorKind::SecretUnavailable => f.write_str("no usable secret could be had"),
            VerifyErrorKind::SignatureMismatch => f.write_str("the signature does not match any secret"),
            VerifyErrorKind::Stale => match self.skew {
                Some(skew) if skew < 0 => write!(f, "the timestamp lies {} s ahead", skew.unsigned_abs()),
                Some(skew) => write!(f, "the timestamp is {skew} s old"),
                None => f.write_str("the timestamp is too far from now"),
            },
            VerifyErrorKind::TestSecret => f.write_str(
                "a test secret made the signature, and the delivery does not say that it is about test data",
            ),
            VerifyErrorKind::UnknownTenant => f.write_str("the source of secrets knows no such tenant"),
            VerifyErrorKind::TooLong => write!(f, "{subject} is longer than it may be"),
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
