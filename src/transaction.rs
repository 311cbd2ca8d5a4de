//! An application's transaction that a store can join.
//!
//! The application begins a transaction on its own pool, writes its effect, and hands the transaction over; the store
//! adds its mark to it. Effect and mark then commit together or not at all. This trait is implemented for the
//! transactions of the database drivers whose features are on.

use std::{any::Any, future::Future};

use crate::error::StoreError;

/// An open transaction of the application's, which a store of the same database can write into.
pub trait StoreTransaction: Send {
    /// Borrows the connection under the transaction, for example an `sqlx::SqliteConnection`.
    ///
    /// A store downcasts it and refuses one that is not its own kind with
    /// [`StoreErrorKind::WrongTransaction`](crate::error::StoreErrorKind::WrongTransaction).
    fn connection(&mut self) -> &mut (dyn Any + Send);

    /// Commits the transaction.
    ///
    /// # Errors
    /// When the database refuses the commit or cannot be reached. The application must then take the effect as undone,
    /// and the delivery is answered with a failure so that the sender repeats it.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send
    where
        Self: Sized;
}
