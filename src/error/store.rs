use std::{error::Error, fmt, sync::Arc};

use crate::boxed::BoxError;

/// A call of a store failed. Cheap to clone.
///
/// ```
/// use std::{error::Error, io};
/// use tower_webhooks::error::{StoreError, StoreErrorKind};
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// let error = StoreError::new(StoreErrorKind::Unavailable, "claim a delivery").with_source(refused);
///
/// assert_eq!(error.kind(), StoreErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "the store cannot be reached: claim a delivery");
/// assert!(error.source().is_some_and(|source| source.is::<io::Error>()));
/// ```
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    context: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a [`StoreError`] means for the caller.
///
/// ```
/// use tower_webhooks::error::{StoreError, StoreErrorKind};
///
/// fn is_worth_a_retry(error: &StoreError) -> bool {
///     matches!(error.kind(), StoreErrorKind::Busy | StoreErrorKind::Unavailable)
/// }
///
/// assert!(is_worth_a_retry(&StoreError::new(StoreErrorKind::Busy, "the row is locked")));
/// assert!(!is_worth_a_retry(&StoreError::new(StoreErrorKind::Schema, "migration 7 is unknown")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store held a lock or a transaction conflict for too long. The same call may succeed at once.
    Busy,
    /// The store contains a record that it cannot read.
    Corrupt,
    /// The store is full: its limit is reached, or its disk is full.
    Full,
    /// The store's server rejected the call for any other reason.
    Rejected,
    /// The store's schema is missing, or newer than this version of the crate understands.
    Schema,
    /// The store cannot be reached, or did not answer in time. Whether the call took effect is unknown.
    Unavailable,
    /// The transaction belongs to another kind of database.
    WrongTransaction,
}

impl StoreError {
    /// Creates an error of `kind`; `context` says what was attempted, for example `claim a delivery`.
    pub fn new(kind: StoreErrorKind, context: impl Into<Arc<str>>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// Sets the cause, which [`source`](Error::source) returns.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns what the error means for the caller.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Busy => "the store is busy",
            StoreErrorKind::Corrupt => "the store contains a record that cannot be read",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Rejected => "the store rejected the call",
            StoreErrorKind::Schema => "the store's schema does not match this version of the crate",
            StoreErrorKind::Unavailable => "the store cannot be reached",
            StoreErrorKind::WrongTransaction => "the transaction belongs to another kind of database",
        };
        write!(f, "{what}: {}", self.context)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}
