use std::{fmt, sync::Arc, time::Duration};

use crate::{boxed::BoxFuture, clock::ClockOffset, idempotency::IdempotencyStore};

/// A store under test, with the facts that the suite needs.
///
/// If your store takes a [`ClockOffset`], use [`OffsetHarness`]. Otherwise implement this trait, and make records older
/// in any way that your store allows, for example by an `UPDATE` that subtracts `by` from every deadline.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_webhooks::{boxed::BoxFuture, clock::ClockOffset, conformance::{Harness, Purge}, store::MemoryStore};
///
/// struct Mine {
///     store: Arc<MemoryStore>,
///     offset: ClockOffset,
/// }
///
/// impl Harness for Mine {
///     type Store = MemoryStore;
///
///     fn store(&self) -> Arc<MemoryStore> {
///         self.store.clone()
///     }
///
///     fn advance(&self, by: Duration) -> BoxFuture<'_, ()> {
///         self.offset.advance(by);
///         Box::pin(std::future::ready(()))
///     }
///
///     fn purge(&self) -> Purge {
///         Purge::OnRequest
///     }
/// }
/// ```
pub trait Harness: Send + Sync {
    /// The store; `Box<dyn IdempotencyStore>` and `Arc<dyn IdempotencyStore>` are stores too.
    type Store: IdempotencyStore;

    /// Returns the store, always the same one.
    fn store(&self) -> Arc<Self::Store>;

    /// Makes every record `by` older, as if the store's clock had advanced by that time.
    fn advance(&self, by: Duration) -> BoxFuture<'_, ()>;

    /// Returns who removes the records that are no longer needed.
    fn purge(&self) -> Purge {
        Purge::OnRequest
    }
}

/// Who removes records that are no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// The store's own expiry; [`purge`](IdempotencyStore::purge) has nothing to do and returns 0.
    ByItself,
    /// [`purge`](IdempotencyStore::purge).
    OnRequest,
}

/// The harness of a store whose clock a [`ClockOffset`] moves.
///
/// ```
/// use tower_webhooks::{clock::ClockOffset, conformance::{self, OffsetHarness}, store::MemoryStore};
///
/// # #[tokio::main]
/// # async fn main() {
/// let offset = ClockOffset::default();
/// let store = MemoryStore::with_capacity_and_offset(10_000, offset.clone());
///
/// conformance::idempotency(&OffsetHarness::new(store, offset)).await;
/// # }
/// ```
pub struct OffsetHarness<S> {
    store: Arc<S>,
    offset: ClockOffset,
    purge: Purge,
}

impl<S: IdempotencyStore> OffsetHarness<S> {
    /// Creates a harness for `store`, which was built with `offset`.
    pub fn new(store: S, offset: ClockOffset) -> Self {
        Self { store: Arc::new(store), offset, purge: Purge::OnRequest }
    }

    /// Sets who removes the records that are no longer needed.
    #[must_use]
    pub fn with_purge(mut self, purge: Purge) -> Self {
        self.purge = purge;
        self
    }
}

impl<S: IdempotencyStore> Harness for OffsetHarness<S> {
    type Store = S;

    fn store(&self) -> Arc<S> {
        self.store.clone()
    }

    fn advance(&self, by: Duration) -> BoxFuture<'_, ()> {
        self.offset.advance(by);
        Box::pin(std::future::ready(()))
    }

    fn purge(&self) -> Purge {
        self.purge
    }
}

impl<S> fmt::Debug for OffsetHarness<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffsetHarness")
            .field("offset", &self.offset)
            .field("purge", &self.purge)
            .finish_non_exhaustive()
    }
}
