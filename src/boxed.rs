//! The two boxed shapes that dyn-compatible traits need, spelled as the tower ecosystem spells them.

use std::{error::Error, future::Future, pin::Pin};

/// A boxed error of any origin.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A boxed future that may be sent between threads.
///
/// It is the same type as `futures_core::future::BoxFuture`, so `.boxed()` and `Box::pin(async move { .. })` both fit.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
