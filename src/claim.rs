//! The fenced right to process one delivery, as its handler holds it.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    transaction::StoreTransaction,
};

/// The right to process one delivery. Cheap to clone.
///
/// A handler takes it to write its effect and the mark "done" in one transaction, to run longer than its timeout, or to
/// know which run it is. A handler that does not take it is marked as done by the middleware, before its answer leaves.
///
/// ```
/// # #[cfg(feature = "sqlite")] mod example {
/// use axum::extract::State;
/// use sqlx::SqlitePool;
/// use tower_webhooks::{BoxError, Claim, VerifiedEvent};
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     id: String,
/// }
///
/// async fn pay(db: SqlitePool, claim: Claim, event: VerifiedEvent<Invoice>) -> Result<(), BoxError> {
///     let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
///     sqlx::query("UPDATE orders SET paid = 1 WHERE invoice = ?").bind(&event.id).execute(&mut *tx).await?;
///     claim.commit(tx).await?; // effect and mark, together or not at all
///     Ok(())
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Claim(Arc<dyn ClaimHandle>);

/// What stands behind a [`Claim`]: the middleware that made it.
pub(crate) trait ClaimHandle: Send + Sync {
    fn attempt(&self) -> u32;

    fn idempotency_key(&self) -> String;

    fn is_lost(&self) -> bool;

    fn lost(&self) -> BoxFuture<'_, ()>;

    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), ClaimError>>;

    /// Notes that a mark in a transaction of the application's is about to be made. From then on only a look at the record can
    /// tell whether the delivery is done, unless [`mark`](Self::mark) or [`committed`](Self::committed) says more.
    fn marking(&self);

    /// Marks the delivery as done on a connection that is in a transaction of the application's.
    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>>;

    /// Notes that the marked transaction has been committed.
    fn committed(&self);
}

impl Claim {
    pub(crate) fn new(handle: Arc<dyn ClaimHandle>) -> Self {
        Self(handle)
    }

    /// Which run of this delivery this is, from 1. A later one follows a failure or a crash: what an earlier one did outside
    /// of the transaction may be there already.
    pub fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    /// A key that is the same on every run of this delivery and on no other, 32 characters long, to pass on to an API that
    /// takes an `Idempotency-Key`.
    pub fn idempotency_key(&self) -> String {
        self.0.idempotency_key()
    }

    /// Tells whether the claim may be somebody else's by now: its lease has passed, or the store said so.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Waits until the claim [is lost](Self::is_lost), for `tokio::select!` in a long handler.
    pub async fn lost(&self) {
        self.0.lost().await;
    }

    /// Holds the claim for `lease` from now, and lets the handler run that much longer. Does nothing once the delivery has
    /// been marked as done.
    ///
    /// # Errors
    /// [`Lost`](ClaimErrorKind::Lost) when somebody else has claimed the delivery: stop, since it runs there too. Otherwise
    /// as the store fails; the old lease then holds.
    pub async fn renew(&self, lease: Duration) -> Result<(), ClaimError> {
        self.0.renew(lease).await
    }

    /// Marks the delivery as done inside `transaction`, and commits it: the handler's effect and the mark become true
    /// together. The database must be the one that holds the claims.
    ///
    /// If the future is dropped before it is ready, say by a timeout of the handler's own, nobody knows whether the
    /// transaction was committed. The middleware then reads the record before a success leaves, as after
    /// [`complete_in`](Self::complete_in).
    ///
    /// # Errors
    /// When the claim is lost, the transaction is of another kind of database, or the database fails. The transaction is
    /// then rolled back, or its outcome is unknown: return the error, so that the sender repeats the delivery. A repeated
    /// one finds out which it was.
    pub fn commit<T: StoreTransaction>(
        &self,
        mut transaction: T,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send {
        // Here and not in the future: one that is dropped before it is polled takes the transaction with it as well.
        self.0.marking();
        async move {
            self.0.mark(transaction.connection()).await?;
            transaction.commit().await.map_err(ClaimError::store)?;
            self.0.committed();
            Ok(())
        }
    }

    /// Marks the delivery as done inside `transaction`, and leaves the commit to the caller.
    ///
    /// The middleware reads the record once before a success leaves: where the commit was forgotten, it answers 500 instead.
    /// [`commit`](Self::commit) does without.
    ///
    /// # Errors
    /// When the claim is lost, the transaction is of another kind of database, or the database fails.
    pub fn complete_in<T: StoreTransaction>(
        &self,
        transaction: &mut T,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send {
        self.0.marking();
        async move { self.0.mark(transaction.connection()).await }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("attempt", &self.attempt()).finish_non_exhaustive()
    }
}

/// A claim could not do what it was asked.
#[derive(Debug, Clone)]
pub struct ClaimError {
    kind: ClaimErrorKind,
    source: Option<StoreError>,
}

/// What a [`ClaimError`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClaimErrorKind {
    /// The lease has passed and somebody else has claimed the delivery.
    Lost,
    /// The store failed; whether the call took effect may be unknown.
    Store,
    /// The transaction is not of the database that holds the claims.
    WrongTransaction,
}

impl ClaimError {
    pub(crate) fn lost() -> Self {
        Self { kind: ClaimErrorKind::Lost, source: None }
    }

    pub(crate) fn store(cause: StoreError) -> Self {
        let kind = match cause.kind() {
            StoreErrorKind::WrongTransaction => ClaimErrorKind::WrongTransaction,
            _ => ClaimErrorKind::Store,
        };
        Self { kind, source: Some(cause) }
    }

    /// Tells what the error means.
    pub fn kind(&self) -> ClaimErrorKind {
        self.kind
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ClaimErrorKind::Lost => "the claim is lost: its lease has passed, and somebody else has taken the delivery",
            ClaimErrorKind::Store => "the store of claims failed",
            ClaimErrorKind::WrongTransaction => {
                "the transaction is not of the database that holds the claims; begin it on the store's database"
            }
        })
    }
}

impl Error for ClaimError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
