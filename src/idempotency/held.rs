use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    key::{ClaimKey, ClaimToken},
    store::{Completion, Fenced, IdempotencyStore},
};
use crate::{
    boxed::BoxFuture,
    claim::{ClaimError, ClaimHandle},
};

/// A claim that this process holds: what its handler and the middleware both look at.
pub(super) struct Held {
    pub(super) store: Arc<dyn IdempotencyStore>,
    pub(super) key: ClaimKey,
    pub(super) token: ClaimToken,
    pub(super) attempt: u32,
    pub(super) retention: Duration,
    /// How much longer than the handler the lease lasts, for the store to be told the outcome.
    pub(super) slack: Duration,
    times: Mutex<Times>,
    moved: Notify,
    state: AtomicU8,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    handler: Instant,
    lease: Instant,
    lost: bool,
}

/// How far the handler itself has taken the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldState {
    /// It left the claim to the middleware.
    Open,
    /// It marked the delivery in a transaction whose commit it kept for itself.
    Marked,
    /// Mark and effect are committed.
    Committed,
}

impl Held {
    #[allow(clippy::too_many_arguments)] // Each is another fact, and there is one caller.
    pub(super) fn new(
        store: Arc<dyn IdempotencyStore>,
        key: ClaimKey,
        token: ClaimToken,
        attempt: u32,
        retention: Duration,
        claimed_at: Instant,
        lease: Duration,
        handler_timeout: Duration,
    ) -> Self {
        let times = Times { handler: claimed_at + handler_timeout, lease: claimed_at + lease, lost: false };
        Self {
            store,
            key,
            token,
            attempt,
            retention,
            slack: lease.saturating_sub(handler_timeout),
            times: Mutex::new(times),
            moved: Notify::new(),
            state: AtomicU8::new(HeldState::Open as u8),
        }
    }

    pub(super) fn state(&self) -> HeldState {
        match self.state.load(Ordering::SeqCst) {
            state if state == HeldState::Committed as u8 => HeldState::Committed,
            state if state == HeldState::Marked as u8 => HeldState::Marked,
            _ => HeldState::Open,
        }
    }

    /// When the handler must be done.
    pub(super) fn handler_deadline(&self) -> Instant {
        self.times().handler
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_waiters();
    }

    fn fenced(&self, fenced: Fenced) -> Result<(), ClaimError> {
        match fenced {
            Fenced::Applied => Ok(()),
            Fenced::Stale => {
                self.set(|times| times.lost = true);
                Err(ClaimError::lost())
            }
        }
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
        let times = self.times();
        times.lost || Instant::now() >= times.lease
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                // Registered before the look, so that no change between look and wait is missed.
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if self.is_lost() {
                    return;
                }
                let _ = tokio::time::timeout_at(self.times().lease, moved).await;
            }
        })
    }

    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            if self.state() != HeldState::Open {
                return Ok(());
            }
            let before = Instant::now();
            let whole = lease + self.slack;
            let fenced = self.store.renew(self.key, self.token, whole).await.map_err(ClaimError::store)?;
            self.fenced(fenced)?;
            self.set(|times| {
                times.handler = times.handler.max(before + lease);
                times.lease = before + whole;
            });
            Ok(())
        })
    }

    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>> {
        Box::pin(async move {
            let completion = Completion::new(self.retention);
            let fenced = self.store.complete_in(connection, self.key, self.token, completion).await;
            self.fenced(fenced.map_err(ClaimError::store)?)?;
            self.state.store(HeldState::Marked as u8, Ordering::SeqCst);
            Ok(())
        })
    }

    fn committed(&self) {
        self.state.store(HeldState::Committed as u8, Ordering::SeqCst);
    }
}
