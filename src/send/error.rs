use std::{borrow::Cow, error::Error, fmt};

use crate::{
    boxed::BoxError,
    error::{RandomnessError, StoreError, StoreErrorKind},
};

/// The error of a [`Dispatcher`](crate::send::Dispatcher). The text of an [`Invalid`](SendErrorKind::Invalid) may be shown to the
/// caller. That of the others is for the application's log, together with its `source()`.
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
///         _ => 503, // our own fault; see `source()`
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

/// The kind of a [`SendError`].
///
/// ```
/// use axum::http::StatusCode;
/// use tower_webhooks::send::{SendError, SendErrorKind};
///
/// fn status(error: &SendError) -> StatusCode {
///     match error.kind() {
///         SendErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
///         SendErrorKind::NotFound => StatusCode::NOT_FOUND,
///         SendErrorKind::Conflict | SendErrorKind::Stale => StatusCode::CONFLICT,
///         _ => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Another message has this id. Nothing was stored.
    Conflict,
    /// The endpoint is disabled.
    Disabled,
    /// A value is invalid: an endpoint's URL, pattern, secret or description, a version, a tenant's name, or a time.
    Invalid,
    /// The endpoint, delivery or event type does not exist.
    NotFound,
    /// The operating system has returned no random bytes.
    Randomness,
    /// The secrets of an endpoint were sealed with a key that is missing, or were changed after they were sealed.
    Sealing,
    /// Somebody else has changed the endpoint in the meantime.
    Stale,
    /// The store failed. It may be unknown whether the call took effect. [`SendError::store_error`] is the store's own error.
    Store,
    /// The number of endpoints, patterns or event types exceeds the [`Quotas`](crate::send::Quotas).
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

    /// Sets the name of the setting that is invalid.
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

    pub(super) fn randomness(cause: RandomnessError) -> Self {
        Self::new(SendErrorKind::Randomness, "a random id, secret or nonce could not be created").with_source(cause)
    }

    /// Returns the kind of error.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// Returns the setting of an endpoint or a message that is [`Invalid`](SendErrorKind::Invalid), if it is known: `url`,
    /// `events/3` (the fourth pattern), `secret`, ….
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Returns the store's error, if the store failed.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl From<StoreError> for SendError {
    fn from(cause: StoreError) -> Self {
        // A log that shows only the text contains at least this much; the source contains the rest.
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
