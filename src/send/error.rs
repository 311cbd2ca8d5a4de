use std::{borrow::Cow, error::Error, fmt};

use crate::{
    boxed::BoxError,
    error::{StoreError, StoreErrorKind},
};

/// A [`Dispatcher`](crate::send::Dispatcher) could not do what it was asked. The text of an [`Invalid`](SendErrorKind::Invalid) may be shown
/// to whoever asked; that of the others is for the application's log, together with its `source()`.
///
/// ```
/// use tower_webhooks::send::{SendError, SendErrorKind};
///
/// fn status(error: &SendError) -> u16 {
///     match error.kind() {
///         SendErrorKind::Conflict | SendErrorKind::Disabled => 409,
///         SendErrorKind::Invalid => 422,
///         SendErrorKind::NotFound => 404,
///         SendErrorKind::Stale => 412,
///         SendErrorKind::TooMany => 429,
///         _ => 503, // ours; `source()` says what
///     }
/// }
/// # let _ = status;
/// ```
#[derive(Debug)]
pub struct SendError {
    kind: SendErrorKind,
    message: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    source: Option<BoxError>,
}

/// What a [`SendError`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// There is another message under this id. Nothing was stored.
    Conflict,
    /// The endpoint is disabled.
    Disabled,
    /// Something cannot be: an endpoint's URL, pattern, secret or description, a version, a tenant's name, a time.
    Invalid,
    /// There is no such endpoint, delivery or event type.
    NotFound,
    /// The operating system gave no randomness.
    Randomness,
    /// The secrets of an endpoint were sealed with a key that is not here, or are not what was sealed.
    Sealing,
    /// Somebody else has changed the endpoint meanwhile.
    Stale,
    /// The store failed; whether the call took effect may be unknown. [`SendError::store_error`] is the store's own error.
    Store,
    /// There are as many endpoints, patterns or event types as there may be: see [`Quotas`](crate::send::Quotas).
    TooMany,
}

impl SendError {
    pub(super) fn new(kind: SendErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), field: None, source: None }
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names what is invalid, where that is known better than by the text.
    pub(super) fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field.get_or_insert(field.into());
        self
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(SendErrorKind::Invalid, message)
    }

    pub(super) fn not_found(what: &'static str) -> Self {
        Self::new(SendErrorKind::NotFound, format!("there is no such {what}"))
    }

    pub(super) fn randomness(cause: getrandom::Error) -> Self {
        Self::new(SendErrorKind::Randomness, "the operating system gave no randomness").with_source(cause)
    }

    /// Tells what the error means.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// Returns which setting of an endpoint or a message is [`Invalid`](SendErrorKind::Invalid), where it is one: `url`,
    /// `events/3` (the fourth pattern), `secret`, ….
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The store's error, where it was the store that failed.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl From<StoreError> for SendError {
    fn from(cause: StoreError) -> Self {
        // A log that shows the text alone tells at least this much; the rest is the source's to say.
        let message = match cause.kind() {
            StoreErrorKind::Busy => "the outbox is busy",
            StoreErrorKind::Corrupt => "the outbox holds a row that cannot be read",
            StoreErrorKind::Full => "the outbox is full",
            StoreErrorKind::Rejected => "the outbox refused",
            StoreErrorKind::Schema => "the tables of the outbox do not fit; call `migrate` of the store",
            StoreErrorKind::Unavailable => "the outbox cannot be reached",
            StoreErrorKind::WrongTransaction => "the transaction is not of the outbox's database",
        };
        Self::new(SendErrorKind::Store, message).with_source(cause)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
