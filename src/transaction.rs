//! A transaction of the application that a store can join.
//!
//! The application begins a transaction on its own pool, writes its effect, and passes the transaction to the store,
//! which adds its mark. The effect and the mark are then committed together, or neither is. This trait is implemented
//! for the transactions of the database drivers whose features are enabled.

use std::{any::Any, future::Future};

use crate::error::StoreError;

/// An open transaction of the application, which a store of the same database can write into.
pub trait StoreTransaction: Send {
    /// Borrows the connection under the transaction, for example an `sqlx::SqliteConnection`.
    ///
    /// A store downcasts it, and rejects a connection of another kind with
    /// [`StoreErrorKind::WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
    fn connection(&mut self) -> &mut (dyn Any + Send);

    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database rejects the commit or cannot be reached. The application must then assume that the effect was
    /// not committed; the delivery is answered with a failure, so that the sender retries.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send
    where
        Self: Sized;
}
