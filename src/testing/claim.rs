use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    boxed::BoxFuture,
    claim::{Claim, ClaimError, ClaimHandle},
};

/// A [`Claim`] for unit tests of handlers that take one. It records what the handler does with it, and does not need a
/// store.
///
/// It accepts the transaction of any database, and commits it when the handler calls `commit`, so the effects in that
/// database are real.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{BoxError, Claim, testing::TestClaim};
///
/// async fn long_work(claim: Claim) -> Result<(), BoxError> {
///     claim.renew(Duration::from_secs(120)).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let watched = TestClaim::new();
/// long_work(watched.claim()).await?;
/// assert_eq!(watched.renewals(), [Duration::from_secs(120)]);
/// assert!(!watched.is_committed());
///
/// // As if another process has claimed the delivery.
/// watched.lose();
/// assert!(long_work(watched.claim()).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TestClaim(Arc<Handle>);

struct Handle {
    attempt: u32,
    seen: Mutex<Seen>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    renewals: Vec<Duration>,
    marked: bool,
    committed: bool,
    lost: bool,
}

impl TestClaim {
    /// Creates a claim of the first attempt.
    pub fn new() -> Self {
        Self::of_attempt(1)
    }

    /// Creates a claim of a later attempt, as after a failure or a crash.
    pub fn of_attempt(attempt: u32) -> Self {
        Self(Arc::new(Handle { attempt, seen: Mutex::default(), moved: Notify::new() }))
    }

    /// Returns the claim to pass to the handler.
    pub fn claim(&self) -> Claim {
        Claim::new(Arc::clone(&self.0) as _)
    }

    /// Makes the claim lost, as if its lease had ended and another process had claimed the delivery.
    pub fn lose(&self) {
        self.0.seen().lost = true;
        self.0.moved.notify_waiters();
    }

    /// Returns the leases that the handler asked for, in order.
    pub fn renewals(&self) -> Vec<Duration> {
        self.0.seen().renewals.clone()
    }

    /// Returns `true` if the handler has marked the delivery as done, by [`Claim::commit`] or [`Claim::complete_in`].
    pub fn is_marked(&self) -> bool {
        self.0.seen().marked
    }

    /// Returns `true` if the mark and the handler's effect were committed by [`Claim::commit`].
    pub fn is_committed(&self) -> bool {
        self.0.seen().committed
    }
}

impl Default for TestClaim {
    fn default() -> Self {
        Self::new()
    }
}

impl Handle {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Result<MutexGuard<'_, Seen>, ClaimError> {
        let seen = self.seen();
        if seen.lost { Err(ClaimError::lost()) } else { Ok(seen) }
    }
}

impl ClaimHandle for Handle {
    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn idempotency_key(&self) -> String {
        format!("{:032x}", 1)
    }

    fn is_lost(&self) -> bool {
        self.seen().lost
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                // Registered before the check, so that no change between the check and the wait is missed.
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if self.is_lost() {
                    return;
                }
                moved.await;
            }
        })
    }

    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), ClaimError>> {
        Box::pin(std::future::ready(self.held().map(|mut seen| seen.renewals.push(lease))))
    }

    fn marking(&self) {}

    fn mark<'a>(&'a self, _connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>> {
        Box::pin(std::future::ready(self.held().map(|mut seen| seen.marked = true)))
    }

    fn committed(&self) {
        self.seen().committed = true;
    }
}

impl fmt::Debug for TestClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClaim").field(&*self.0.seen()).finish()
    }
}
