use std::time::SystemTime;

use http::{Method, StatusCode};

use super::{answer::Answer, keys::Keys};
use crate::{error::VerifyError, head::Head};

/// A scheme that no data expresses, in code.
///
/// Each method is pure: it does no I/O, asks no clock, and gives the same answer to the same question. The middleware
/// keeps the order, the limits, the early rejections and the statuses.
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
    /// The scheme's name, for [`Delivery::provider`](crate::Delivery::provider), logs and store keys. It never changes.
    fn name(&self) -> &str;

    /// Checks the head, before one byte of the body is read, and says how to go on.
    ///
    /// # Errors
    /// When the head cannot be a true delivery's.
    fn inspect(&self, head: Head<'_>, now: SystemTime) -> Result<Plan, VerifyError>;

    /// Checks the signature over the raw body.
    ///
    /// # Errors
    /// When no key fits.
    fn verify(&self, head: Head<'_>, body: &[u8], keys: Keys<'_>, now: SystemTime) -> Result<Binding, VerifyError>;

    /// Whether the scheme's signature binds the body. When it does not, the middleware warns once at start.
    fn covers_body(&self) -> bool {
        true
    }

    /// Whether the sender signs the bytes on the wire, so that a body with a `Content-Encoding` may pass. It is not decoded.
    fn signs_encoded_bodies(&self) -> bool {
        false
    }

    /// Where the payload is in the body, as a JSON pointer; the whole body by default.
    fn payload(&self) -> &str {
        ""
    }

    /// Whether no two events have equal bodies; see
    /// [`SchemeBuilder::bodies_are_unique`](crate::scheme::SchemeBuilder::bodies_are_unique).
    fn bodies_are_unique(&self) -> bool {
        false
    }

    /// The methods that deliveries come by.
    fn methods(&self) -> Vec<Method> {
        vec![Method::POST]
    }

    /// What the sender prescribes as an answer to a delivery that the middleware itself acknowledges, if anything.
    fn success(&self) -> Option<Answer> {
        None
    }

    /// The status of a rejected request.
    fn rejected(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }
}

/// How to go on after the head.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Plan {
    /// The request is a handshake that needs no signature; this is the answer.
    Answer(Answer),
    /// Read the body and verify.
    Verify,
}

/// What a passed check proved, and what it learned on the way.
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
    /// The signature binds the body.
    pub fn body() -> Self {
        Self { body: true, ..Self::default() }
    }

    /// The signature does not bind the body: whoever holds one true request can change what it says.
    pub fn head_only() -> Self {
        Self::default()
    }

    /// Which secret matched.
    pub fn secret_index(mut self, index: usize) -> Self {
        self.secret_index = Some(index);
        self
    }

    /// When the sender signed it, where that is signed.
    pub fn timestamp(mut self, timestamp: SystemTime) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The delivery's id, bound by the signature.
    pub fn signed_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some((id.into(), true));
        self
    }

    /// The delivery's id, not bound by the signature.
    pub fn unsigned_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some((id.into(), false));
        self
    }

    /// The event type.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// The request was a handshake, and rightly signed: this is the answer, and no handler runs.
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }
}
