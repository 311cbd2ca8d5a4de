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
    layer::{Context, after},
    run::bounded,
    store::Completion,
};
use crate::{
    boxed::BoxFuture,
    claim::{ClaimError, ClaimErrorKind, ClaimHandle},
    fencing::Fenced,
};

/// A claim that this process holds: what its handler and the middleware both look at.
pub(super) struct Held {
    context: Arc<Context>,
    pub(super) key: ClaimKey,
    pub(super) token: ClaimToken,
    pub(super) attempt: u32,
    pub(super) retention: Duration,
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
    /// It tried to mark the delivery, and was told that this failed.
    Doubtful,
    /// It marked the delivery in a transaction whose commit it kept for itself.
    Marked,
    /// The record is done: by the handler, in one commit with its effect, or by the middleware.
    Done,
}

impl Held {
    pub(super) fn new(
        context: &Arc<Context>,
        key: ClaimKey,
        token: ClaimToken,
        attempt: u32,
        retention: Duration,
        claimed_at: Instant,
    ) -> Self {
        let times = Times {
            handler: after(claimed_at, context.handler_timeout),
            lease: after(claimed_at, context.lease),
            lost: false,
        };
        Self {
            context: Arc::clone(context),
            key,
            token,
            attempt,
            retention,
            times: Mutex::new(times),
            moved: Notify::new(),
            state: AtomicU8::new(HeldState::Open as u8),
        }
    }

    pub(super) fn state(&self) -> HeldState {
        match self.state.load(Ordering::SeqCst) {
            state if state == HeldState::Done as u8 => HeldState::Done,
            state if state == HeldState::Marked as u8 => HeldState::Marked,
            state if state == HeldState::Doubtful as u8 => HeldState::Doubtful,
            _ => HeldState::Open,
        }
    }

    /// When the handler must be done.
    pub(super) fn handler_deadline(&self) -> Instant {
        self.times().handler
    }

    /// Notes that the record is done.
    pub(super) fn done(&self) {
        self.state.store(HeldState::Done as u8, Ordering::SeqCst);
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
            if matches!(self.state(), HeldState::Marked | HeldState::Done) {
                return Ok(());
            }
            let Context { store, store_timeout, .. } = &*self.context;
            let before = Instant::now();
            // A handler is never given less than it has, and the lease outlasts it by as much as at first, for the store to
            // be told the outcome.
            let handler = self.times().handler.max(after(before, lease));
            let slack = self.context.lease.saturating_sub(self.context.handler_timeout);
            let whole = (handler - before).saturating_add(slack);
            let renewed = bounded(*store_timeout, store.renew(self.key, self.token, whole)).await;
            self.fenced(renewed.map_err(ClaimError::store)?)?;
            self.set(|times| {
                times.handler = times.handler.max(handler);
                times.lease = times.lease.max(after(before, whole));
            });
            Ok(())
        })
    }

    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>> {
        Box::pin(async move {
            let completion = Completion::new(self.retention);
            let marked = self.context.store.complete_in(connection, self.key, self.token, completion).await;
            let (state, marked) = match marked.map_err(ClaimError::store).and_then(|fenced| self.fenced(fenced)) {
                Ok(()) => (HeldState::Marked, Ok(())),
                // The store has no such transactions, so that its claim is still the middleware's to complete.
                Err(error) if error.kind() == ClaimErrorKind::WrongTransaction => return Err(error),
                Err(error) => (HeldState::Doubtful, Err(error)),
            };
            self.state.store(state as u8, Ordering::SeqCst);
            marked
        })
    }

    fn committed(&self) {
        self.done();
    }
}
