//! The claim on a delivery, which a handler can take as an argument.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    transaction::StoreTransaction,
};

/// The exclusive right to process one delivery, for the time of a lease. Cheap to clone.
///
/// A handler takes it as an argument to write its effect and the mark "done" in one transaction, to run longer than its
/// timeout, or to know the number of the run. If a handler does not take it, the middleware marks the delivery as done
/// before it sends the response.
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
///     claim.commit(tx).await?; // the effect and the mark, both or neither
///     Ok(())
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Claim(Arc<dyn ClaimHandle>);

/// The middleware behind a [`Claim`].
pub(crate) trait ClaimHandle: Send + Sync {
    fn attempt(&self) -> u32;

    fn idempotency_key(&self) -> String;

    fn is_lost(&self) -> bool;

    fn lost(&self) -> BoxFuture<'_, ()>;

    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), ClaimError>>;

    /// Says that a mark in a transaction of the application is about to be written. From then on only the record shows
    /// whether the delivery is done, unless [`mark`](Self::mark) or [`committed`](Self::committed) is called.
    fn marking(&self);

    /// Marks the delivery as done on a connection that is in a transaction of the application.
    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>>;

    /// Says that the transaction with the mark was committed.
    fn committed(&self);
}

impl Claim {
    pub(crate) fn new(handle: Arc<dyn ClaimHandle>) -> Self {
        Self(handle)
    }

    /// Returns the number of this run of the delivery, from 1. A later run follows a failure or a crash, so effects of
    /// an earlier run outside of the transaction may exist already.
    pub fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    /// Returns a key of 32 characters that is the same on every run of this delivery and differs for every other
    /// delivery. Pass it to an API that accepts an `Idempotency-Key`.
    pub fn idempotency_key(&self) -> String {
        self.0.idempotency_key()
    }

    /// Returns `true` if another process may own the claim by now: its lease has ended, or the store said so.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Waits until the claim [is lost](Self::is_lost), for `tokio::select!` in a long handler.
    pub async fn lost(&self) {
        self.0.lost().await;
    }

    /// Extends the claim, and the time that the handler may run, to `lease` from now. Does nothing if the delivery is
    /// marked as done.
    ///
    /// # Errors
    /// [`Lost`](ClaimErrorKind::Lost) if another process has claimed the delivery: stop, since it runs there too.
    /// [`Store`](ClaimErrorKind::Store) if the store fails; the old lease then continues.
    pub async fn renew(&self, lease: Duration) -> Result<(), ClaimError> {
        self.0.renew(lease).await
    }

    /// Marks the delivery as done in `transaction`, and commits it, so that the handler's effect and the mark are
    /// committed together. The database must be the one that holds the claims.
    ///
    /// If the future is dropped before it is ready, for example by a timeout in the handler, it is unknown whether the
    /// transaction was committed. The middleware then reads the record before it sends a success, as after
    /// [`complete_in`](Self::complete_in).
    ///
    /// # Errors
    /// If the claim is lost, the transaction belongs to another kind of database, or the database fails. The
    /// transaction is then rolled back, or its outcome is unknown. Return the error, so that the sender retries: if the
    /// transaction was committed, the retry is a duplicate; otherwise it runs.
    pub fn commit<T: StoreTransaction>(
        &self,
        mut transaction: T,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send {
        // Here and not in the future, since a future that is dropped before it is polled also drops the transaction.
        self.0.marking();
        async move {
            self.0.mark(transaction.connection()).await?;
            transaction.commit().await.map_err(ClaimError::store)?;
            self.0.committed();
            Ok(())
        }
    }

    /// Marks the delivery as done in `transaction`, which the caller then has to commit.
    ///
    /// The middleware reads the record once before it sends a success: if the commit was forgotten, it answers with 500
    /// instead. [`commit`](Self::commit) does not need this read.
    ///
    /// # Errors
    /// If the claim is lost, the transaction belongs to another kind of database, or the database fails.
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

/// A call of a [`Claim`] failed.
///
/// ```
/// # #[cfg(feature = "testing")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use tower_webhooks::{claim::ClaimErrorKind, testing::TestClaim};
///
/// let test = TestClaim::new();
/// test.lose(); // as if another process had claimed the delivery
///
/// let error = test.claim().renew(Duration::from_secs(60)).await.unwrap_err();
/// assert_eq!(error.kind(), ClaimErrorKind::Lost);
/// # }
/// # #[cfg(not(feature = "testing"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct ClaimError {
    kind: ClaimErrorKind,
    source: Option<StoreError>,
}

/// What a [`ClaimError`] means.
///
/// ```
/// use tower_webhooks::claim::{ClaimError, ClaimErrorKind};
///
/// /// Another process handles the delivery now, so this one has nothing to repeat.
/// fn is_handled_elsewhere(error: &ClaimError) -> bool {
///     error.kind() == ClaimErrorKind::Lost
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClaimErrorKind {
    /// The lease has ended and another process has claimed the delivery.
    Lost,
    /// The store failed; whether the call took effect may be unknown.
    Store,
    /// The transaction does not belong to the database that holds the claims.
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

    /// Returns what the error means.
    pub fn kind(&self) -> ClaimErrorKind {
        self.kind
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ClaimErrorKind::Lost => "the claim is lost: its lease has ended, and another process has claimed the delivery",
            ClaimErrorKind::Store => "the store of claims failed",
            ClaimErrorKind::WrongTransaction => {
                "the transaction does not belong to the database that holds the claims; begin it on the store's database"
            }
        })
    }
}

impl Error for ClaimError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
