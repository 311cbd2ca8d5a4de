//! The two boxed types that dyn-compatible traits need, with the names that the tower ecosystem uses.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

/// A boxed error of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A boxed future that can be sent between threads.
///
/// It is the same type as `futures_core::future::BoxFuture`, so `.boxed()` and `Box::pin(async move { .. })` both fit.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One failure, as all who waited for its cause are told.
#[derive(Debug, Clone)]
pub(crate) struct SharedError(Arc<dyn Error + Send + Sync>);

impl SharedError {
    pub(crate) fn new(error: BoxError) -> Self {
        Self(Arc::from(error))
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
