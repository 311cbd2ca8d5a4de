//! The two boxed types that dyn-compatible traits need, with the names that the tower ecosystem uses.

use std::{error::Error, future::Future, pin::Pin};

/// A boxed error of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A boxed future that can be sent between threads.
///
/// It is the same type as `futures_core::future::BoxFuture`, so `.boxed()` and `Box::pin(async move { .. })` both fit.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
