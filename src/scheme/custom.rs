use std::time::SystemTime;

use http::{Method, StatusCode};

use super::{answer::Answer, keys::Keys};
use crate::{error::VerifyError, head::Head};

/// A scheme in code, for a sender that the builder cannot declare.
///
/// Each method is a pure function: it does no I/O, does not read a clock, and returns the same result for the same
/// arguments. The middleware reads the body, applies limits, and answers.
///
/// ```
/// use std::time::SystemTime;
/// use http::HeaderName;
/// use tower_webhooks::{
///     Head, Scheme, Secret, WebhookLayer,
///     error::{VerifyError, VerifyErrorKind},
///     scheme::{Binding, CustomScheme, Keys, Plan},
/// };
///
/// /// Signs the length of the body and the body, in lower-case hex.
/// struct Acme;
///
/// const SIGNATURE: HeaderName = HeaderName::from_static("x-acme");
///
/// impl CustomScheme for Acme {
///     fn name(&self) -> &str {
///         "acme"
///     }
///
///     fn inspect(&self, head: Head<'_>, _now: SystemTime) -> Result<Plan, VerifyError> {
///         let missing = || VerifyError::new(VerifyErrorKind::Missing).with_header(SIGNATURE);
///         head.headers().get(SIGNATURE).ok_or_else(missing)?;
///         Ok(Plan::Verify)
///     }
///
///     fn verify(&self, head: Head<'_>, body: &[u8], keys: Keys<'_>, _now: SystemTime) -> Result<Binding, VerifyError> {
///         let claimed = head.headers().get(SIGNATURE).map(|value| value.as_bytes()).unwrap_or_default();
///         let length = body.len().to_string();
///         let index = keys.hmac_sha256_hex(&[length.as_bytes(), body], claimed)?;
///         Ok(Binding::body().secret_index(index))
///     }
/// }
///
/// let layer = WebhookLayer::new(Scheme::custom(Acme), Secret::new("a key shared with Acme")?);
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
pub trait CustomScheme: Send + Sync + 'static {
    /// Returns the name of the scheme, for [`Delivery::provider`](crate::Delivery::provider), logs and store keys. It
    /// must never change.
    fn name(&self) -> &str;

    /// Checks the head before the body is read, and returns how to continue.
    ///
    /// # Errors
    /// If the head cannot be that of a genuine delivery.
    fn inspect(&self, head: Head<'_>, now: SystemTime) -> Result<Plan, VerifyError>;

    /// Checks the signature over the raw body.
    ///
    /// # Errors
    /// If no key matches.
    fn verify(&self, head: Head<'_>, body: &[u8], keys: Keys<'_>, now: SystemTime) -> Result<Binding, VerifyError>;

    /// Returns `true` if the scheme's signature covers the body. If it does not, the middleware logs a warning once at
    /// start.
    fn covers_body(&self) -> bool {
        true
    }

    /// Returns `true` if the sender signs the encoded bytes, so that a body with a `Content-Encoding` is accepted. It
    /// is not decoded.
    fn signs_encoded_bodies(&self) -> bool {
        false
    }

    /// Returns the place of the payload in the body, as a JSON pointer; the whole body by default.
    fn payload(&self) -> &str {
        ""
    }

    /// Returns `true` if no two events have equal bodies; see
    /// [`SchemeBuilder::bodies_are_unique`](crate::scheme::SchemeBuilder::bodies_are_unique).
    fn bodies_are_unique(&self) -> bool {
        false
    }

    /// Returns the methods of deliveries.
    fn methods(&self) -> Vec<Method> {
        vec![Method::POST]
    }

    /// Returns the answer that the sender requires for a delivery that the middleware itself acknowledges, if there is
    /// one.
    fn success(&self) -> Option<Answer> {
        None
    }

    /// Returns the status of a rejected request.
    fn rejected(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }
}

/// How to continue after the check of the head.
///
/// ```
/// use http::{Method, StatusCode};
/// use tower_webhooks::{Head, scheme::{Answer, Plan}};
///
/// /// A sender that checks the URL with a HEAD request.
/// fn inspect(head: Head<'_>) -> Plan {
///     if head.method() == Method::HEAD { Plan::Answer(Answer::new(StatusCode::OK)) } else { Plan::Verify }
/// }
/// # let _ = inspect;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Plan {
    /// The request is a handshake without a signature; this is the answer.
    Answer(Answer),
    /// Read the body and verify the request.
    Verify,
}

/// What a successful check has proved, and the facts that it found.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_webhooks::scheme::Binding;
///
/// // The signature covers the body, the id and the time, and was made with the second secret.
/// let binding = Binding::body()
///     .secret_index(1)
///     .signed_id("evt_1")
///     .timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
///     .event_type("invoice.paid");
/// # let _ = binding;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Binding {
    pub(crate) answer: Option<Answer>,
    pub(crate) body: bool,
    pub(crate) id: Option<(String, bool)>,
    pub(crate) event_type: Option<String>,
    pub(crate) timestamp: Option<SystemTime>,
    pub(crate) secret_index: Option<usize>,
}

impl Binding {
    /// Creates the result of a check whose signature covers the body.
    pub fn body() -> Self {
        Self { body: true, ..Self::default() }
    }

    /// Creates the result of a check whose signature does not cover the body: anyone who has one genuine request can
    /// change its content.
    pub fn head_only() -> Self {
        Self::default()
    }

    /// Sets the index of the secret that matched.
    pub fn secret_index(mut self, index: usize) -> Self {
        self.secret_index = Some(index);
        self
    }

    /// Sets the time of the signature, if it is signed.
    pub fn timestamp(mut self, timestamp: SystemTime) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the delivery's id, which the signature covers.
    pub fn signed_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some((id.into(), true));
        self
    }

    /// Sets the delivery's id, which the signature does not cover.
    pub fn unsigned_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some((id.into(), false));
        self
    }

    /// Sets the event type.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Sets the answer, if the request is a handshake with a valid signature; no handler runs then.
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }
}
