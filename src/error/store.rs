use std::{error::Error, fmt, sync::Arc};

use crate::boxed::BoxError;

/// A store could not do what it was asked. Cheap to clone.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    context: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a [`StoreError`] means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store held a lock or a transaction conflict for too long. The same call may succeed at once.
    Busy,
    /// The store holds a record that it cannot read.
    Corrupt,
    /// The store has no room: its bound or its disk is reached.
    Full,
    /// Anything else that the store's server refused.
    Rejected,
    /// The store's schema is missing, or newer than this version of the crate understands.
    Schema,
    /// The store cannot be reached, or did not answer in time. Whether the call took effect is unknown.
    Unavailable,
    /// The transaction that was passed belongs to another kind of database.
    WrongTransaction,
}

impl StoreError {
    /// Creates an error of `kind`; `context` says what was attempted, in the form ``claim a delivery``.
    pub fn new(kind: StoreErrorKind, context: impl Into<Arc<str>>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Tells what the error means for the caller.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Busy => "the store is busy",
            StoreErrorKind::Corrupt => "the store holds a record that cannot be read",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Rejected => "the store refused",
            StoreErrorKind::Schema => "the store's schema does not fit",
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
