use std::{
    any::Any,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::store::Ending;
use crate::{
    boxed::BoxFuture,
    claim::{ClaimError, ClaimErrorKind, ClaimHandle},
    error::StoreError,
    fencing::Fenced,
    idempotency::ClaimKey,
    mutex::Mutex,
};

/// One event that a worker holds, of any queue.
pub(crate) trait Hold: Send + Sync + 'static {
    /// Holds it for this long from now.
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends the attempt.
    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Ends the event as done, on a connection that is in a transaction of the application.
    fn finish_in<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<Fenced, StoreError>>;

    /// Returns whether that transaction was committed.
    fn is_done(&self) -> BoxFuture<'_, Result<Fenced, StoreError>>;
}

/// An event that a worker holds: what its handler and the worker both look at.
pub(super) struct Held {
    pub(super) hold: Box<dyn Hold>,
    key: ClaimKey,
    attempt: u32,
    /// How long the worker holds an event without a renewal.
    length: Duration,
    times: Mutex<Times>,
    moved: Notify,
    state: AtomicU8,
    marks: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    handler: Instant,
    lease: Instant,
    lost: bool,
}

/// How far the handler itself has taken the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldState {
    /// The handler left completing the event to the worker.
    Open,
    /// The handler marked the event in its own transaction, or began to. Only the store knows whether that was
    /// committed.
    Doubtful,
    /// The handler has committed the event as done.
    Done,
}

impl Held {
    pub(super) fn new(
        hold: Box<dyn Hold>,
        (key, attempt): (ClaimKey, u32),
        (handler, lease): (Instant, Instant),
        length: Duration,
    ) -> Self {
        Self {
            hold,
            key,
            attempt,
            length,
            times: Mutex::new(Times { handler, lease, lost: false }),
            moved: Notify::new(),
            state: AtomicU8::new(HeldState::Open as u8),
            marks: AtomicU32::new(0),
        }
    }

    pub(super) fn state(&self) -> HeldState {
        match self.state.load(Ordering::SeqCst) {
            state if state == HeldState::Done as u8 => HeldState::Done,
            _ if self.marks.load(Ordering::SeqCst) > 0 => HeldState::Doubtful,
            _ => HeldState::Open,
        }
    }

    /// When the handler must be done.
    pub(super) fn handler_deadline(&self) -> Instant {
        self.times.lock().handler
    }

    /// Holds the event for longer. After a failure of the store the next renewal tries again; until then the lease
    /// continues.
    pub(super) async fn keep(&self, lease: Duration) -> Result<Fenced, StoreError> {
        let before = Instant::now();
        let fenced = self.hold.renew(lease).await?;
        match fenced {
            Fenced::Applied => self.set(|times| times.lease = times.lease.max(later(before, lease))),
            Fenced::Stale => self.set(|times| times.lost = true),
        }
        Ok(fenced)
    }

    fn set(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock());
        self.moved.notify_waiters();
    }
}

impl ClaimHandle for Held {
    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn idempotency_key(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.key.to_bytes()))
    }

    fn is_lost(&self) -> bool {
        let times = *self.times.lock();
        times.lost || Instant::now() >= times.lease
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                // Registered before the check, so that no change between check and wait is missed.
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if self.is_lost() {
                    return;
                }
                let end = self.times.lock().lease;
                let _ = tokio::time::timeout_at(end, moved).await;
            }
        })
    }

    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            if self.state() != HeldState::Open {
                return Ok(());
            }
            let before = Instant::now();
            // The lease keeps its usual length: with a shorter one another worker could take the event meanwhile, and a
            // longer one would delay the event if this worker dies. Only the handler's timeout is extended, and it is
            // never shortened.
            match self.keep(self.length).await.map_err(ClaimError::store)? {
                Fenced::Applied => {
                    self.set(|times| times.handler = times.handler.max(later(before, lease)));
                    Ok(())
                }
                Fenced::Stale => Err(ClaimError::lost()),
            }
        })
    }

    fn marking(&self) {
        self.marks.fetch_add(1, Ordering::SeqCst);
    }

    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>> {
        Box::pin(async move {
            match self.hold.finish_in(connection).await.map_err(ClaimError::store) {
                Ok(Fenced::Applied) => Ok(()),
                Ok(Fenced::Stale) => {
                    self.set(|times| times.lost = true);
                    Err(ClaimError::lost())
                }
                Err(error) => {
                    if error.kind() == ClaimErrorKind::WrongTransaction {
                        // Nothing was marked, so the worker still ends the event.
                        self.marks.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(error)
                }
            }
        })
    }

    fn committed(&self) {
        self.state.store(HeldState::Done as u8, Ordering::SeqCst);
    }
}

/// Returns a later instant, limited so that it can be represented.
pub(super) fn later(from: Instant, by: Duration) -> Instant {
    /// An instant this far away is never reached, and can still be represented on every platform.
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    from + by.min(FAR)
}
