use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    context::Context,
    key::{ClaimKey, ClaimToken, Guard},
    later::after,
    store::Completion,
};
use crate::{
    boxed::BoxFuture,
    claim::{ClaimError, ClaimErrorKind, ClaimHandle},
    fencing::Fenced,
    mutex::Mutex,
};

/// A claim that this process holds: what its handler and the middleware both look at.
pub(super) struct Held {
    context: Arc<Context>,
    pub(super) key: ClaimKey,
    pub(super) token: ClaimToken,
    pub(super) attempt: u32,
    pub(super) retention: Duration,
    /// The claim of the body, if the application guards against replays.
    pub(super) guard: Option<Guard>,
    times: Mutex<Times>,
    moved: Notify,
    state: AtomicU8,
    /// Whether the guard is done if the claim is, by the handler's own transaction.
    guard_is_marked: AtomicBool,
    /// How many marks in transactions were begun, but for those that found a transaction of another database.
    marks: AtomicU32,
}

/// A claim as the store has granted it.
#[derive(Clone, Copy)]
pub(super) struct Acquired {
    pub(super) key: ClaimKey,
    pub(super) token: ClaimToken,
    pub(super) attempt: u32,
    pub(super) retention: Duration,
    pub(super) guard: Option<Guard>,
    pub(super) claimed_at: Instant,
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
    /// The handler began to mark the delivery, and the call failed or its future was dropped.
    Doubtful,
    /// It marked the delivery in a transaction whose commit it kept for itself.
    Marked,
    /// The record is done: by the handler, in one commit with its effect, or by the middleware.
    Done,
}

impl Held {
    pub(super) fn new(context: &Arc<Context>, acquired: Acquired) -> Self {
        let Acquired { key, token, attempt, retention, guard, claimed_at } = acquired;
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
            guard,
            times: Mutex::new(times),
            moved: Notify::new(),
            state: AtomicU8::new(HeldState::Open as u8),
            guard_is_marked: AtomicBool::new(false),
            marks: AtomicU32::new(0),
        }
    }

    pub(super) fn state(&self) -> HeldState {
        match self.state.load(Ordering::SeqCst) {
            state if state == HeldState::Done as u8 => HeldState::Done,
            state if state == HeldState::Marked as u8 => HeldState::Marked,
            _ if self.marks.load(Ordering::SeqCst) > 0 => HeldState::Doubtful,
            _ => HeldState::Open,
        }
    }

    /// When the handler must be done.
    pub(super) fn handler_deadline(&self) -> Instant {
        self.times().handler
    }

    /// The guard, if it was not marked together with the delivery.
    pub(super) fn unmarked_guard(&self) -> Option<Guard> {
        self.guard.filter(|_| !self.guard_is_marked.load(Ordering::SeqCst))
    }

    /// When the lease ends, as far as this process knows.
    pub(super) fn lease_end(&self) -> Instant {
        self.times().lease
    }

    /// Notes that the record is done.
    pub(super) fn done(&self) {
        self.state.store(HeldState::Done as u8, Ordering::SeqCst);
    }

    fn times(&self) -> Times {
        *self.times.lock()
    }

    fn set(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock());
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
            let before = Instant::now();
            // A handler is never given less than it has, and the lease outlasts it by as much as at first, for the store to
            // be told the outcome.
            let handler = self.times().handler.max(after(before, lease));
            let slack = self.context.lease.saturating_sub(self.context.handler_timeout);
            let whole = (handler - before).saturating_add(slack);
            // The guard first: while the claim holds, no duplicate is let through by a guard that has ended.
            for key in self.guard.iter().map(|guard| guard.key).chain([self.key]) {
                let renewed = self.context.store.renew(key, self.token, whole).await;
                self.fenced(renewed.map_err(ClaimError::store)?)?;
            }
            self.set(|times| {
                times.handler = times.handler.max(handler);
                times.lease = times.lease.max(after(before, whole));
            });
            Ok(())
        })
    }

    fn marking(&self) {
        self.marks.fetch_add(1, Ordering::SeqCst);
    }

    fn mark<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<(), ClaimError>> {
        Box::pin(async move {
            let store = &self.context.store;
            let completion = Completion::new(self.retention);
            let mut marked = store.complete_in(connection, self.key, self.token, completion).await;
            if let (Ok(Fenced::Applied), Some(guard)) = (&marked, self.guard) {
                // With the effect as well, so that no crash lets the same bytes run under another id.
                marked = store.complete_in(connection, guard.key, self.token, Completion::new(guard.window)).await;
                self.guard_is_marked.store(matches!(marked, Ok(Fenced::Applied)), Ordering::SeqCst);
            }
            match marked.map_err(ClaimError::store).and_then(|fenced| self.fenced(fenced)) {
                Ok(()) => {
                    // A completed claim stays completed.
                    let (open, marked) = (HeldState::Open as u8, HeldState::Marked as u8);
                    let _ = self.state.compare_exchange(open, marked, Ordering::SeqCst, Ordering::SeqCst);
                    Ok(())
                }
                Err(error) => {
                    if error.kind() == ClaimErrorKind::WrongTransaction {
                        // The store has no such transactions, so that its claim is still the middleware's to complete.
                        self.marks.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(error)
                }
            }
        })
    }

    fn committed(&self) {
        self.done();
    }
}
