//! Handles an event of any queue: its handler runs while its lease is renewed, and the result is stored.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    handler::Handler,
    head,
    held::{Held, HeldState, Hold, later},
    outcome::Worked,
    retries::InboxRetries,
    store::{Content, Ending},
};
use crate::{
    boxed::BoxFuture,
    claim::{Claim, ClaimHandle},
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    observe,
    panics::{Stopped, caught, supervise},
    queue::{self, Fenced, Queue, Room},
};

/// How many handlers run at once.
const DEFAULT_CONCURRENCY: usize = 32;
const DEFAULT_POLL: Duration = Duration::from_secs(1);
/// How long an event waits after its worker was killed.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);
/// No sender waits for a handler here.
const DEFAULT_HANDLER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);

/// The settings of a worker.
#[derive(Clone)]
pub(crate) struct WorkOptions {
    pub(crate) room: Room,
    pub(crate) lease: Duration,
    pub(crate) handler_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) retries: InboxRetries,
    pub(crate) prepare: Option<Arc<Prepare>>,
}

pub(crate) type Prepare = dyn Fn(&mut Request<Full<Bytes>>) + Send + Sync;

impl Default for WorkOptions {
    fn default() -> Self {
        Self {
            room: Room { jobs: DEFAULT_CONCURRENCY, poll: DEFAULT_POLL },
            lease: DEFAULT_LEASE,
            handler_timeout: DEFAULT_HANDLER_TIMEOUT,
            drain: DEFAULT_DRAIN,
            retries: InboxRetries::default(),
            prepare: None,
        }
    }
}

/// The state of a worker's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    Now,
    Soon,
}

/// How an event ends that its `EventRouter` does not handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unhandled {
    /// Other programs decide which events are stored, and this one has no handler.
    Acknowledged,
    /// Only events with a handler are stored, so this one is in the wrong inbox.
    Misplaced,
}

/// An event that was received from a queue, and is held until it is finished.
pub(crate) struct Taken {
    pub(crate) hold: Box<dyn Hold>,
    /// Its name in logs.
    pub(crate) name: Box<dyn fmt::Display + Send + Sync>,
    pub(crate) key: ClaimKey,
    /// The number of attempts, including this one: in total, and since it was last accepted or replayed.
    pub(crate) attempts: (u32, u32),
    pub(crate) content: Opened,
    /// How long ago it was accepted.
    pub(crate) age: Duration,
    /// When the queue was asked for it. Its lease began at this time or later.
    pub(crate) leased_at: Instant,
}

/// The stored parts of an event.
pub(crate) enum Opened {
    Content(Content),
    /// It is dead, and its handler does not run. The reason is already logged.
    Dead(Arc<str>),
    /// It cannot be opened with the present keys; another key may be added later.
    NotYet(Arc<str>),
}

/// Handles events for a worker.
pub(crate) struct Work {
    pub(crate) handler: Handler,
    pub(crate) options: WorkOptions,
    pub(crate) store_timeout: Duration,
    pub(crate) unhandled: Unhandled,
    pub(crate) stopped: watch::Receiver<Stop>,
    /// The number of handlers that have run for so long that they no longer take a place.
    pub(crate) aside: Arc<AtomicUsize>,
    pub(crate) new_work: Arc<Notify>,
}

impl Work {
    /// Runs the handler of an event, and stores the result.
    pub(crate) async fn work(&self, taken: Taken) {
        let Taken { hold, name, key, attempts: (attempt, round_attempt), content, age, leased_at } = taken;
        let options = &self.options;
        let ends = (later(leased_at, options.handler_timeout), later(leased_at, options.lease));
        let held = Arc::new(Held::new(hold, (key, attempt), ends, options.lease));
        let restored = match content {
            Opened::Content(content) => head::restore(content).ok_or_else(|| {
                let reason = "what is stored of it cannot be read";
                observe::inbox_unreadable(reason);
                reason.into()
            }),
            Opened::Dead(reason) => Err(reason),
            Opened::NotYet(reason) => {
                // If keys are changed in the wrong order, the right key will be added soon.
                let ending = Worked::Unopened(reason).ending(&options.retries, round_attempt, random());
                if matches!(ending, Ending::Dead { .. }) {
                    observe::inbox_died_unread();
                }
                return self.finish(&held, &*name, ending).await;
            }
        };
        let ending = match restored {
            Err(reason) => {
                observe::inbox_died_unread();
                Ending::Dead { reason }
            }
            Ok((mut request, delivery)) => {
                let working = observe::Working::begin(&delivery, &name, attempt);
                let is_ours = self.unhandled == Unhandled::Acknowledged || self.handler.handles(&delivery);
                let handle: Arc<dyn ClaimHandle> = Arc::clone(&held) as _;
                request.extensions_mut().insert(Claim::new(handle));
                let prepared = match &options.prepare {
                    Some(prepare) => caught(|| prepare(&mut request)),
                    None => Ok(()),
                };
                let worked = match prepared {
                    Ok(()) if !is_ours => Some(Worked::Misplaced),
                    Ok(()) => working.inside(self.handle(&held, request)).await,
                    Err(_) => Some(Worked::Panicked),
                };
                match worked {
                    None => {
                        working.returned();
                        Ending::Returned
                    }
                    Some(worked) => {
                        let worked = self.confirmed(&held, worked).await;
                        let ending = worked.ending(&options.retries, round_attempt, random());
                        // A discarded event was already logged when its handler returned.
                        let reason = ending.reason().filter(|_| !matches!(ending, Ending::Discarded { .. }));
                        let is_dead = matches!(ending, Ending::Dead { .. });
                        working.end(worked.outcome(), reason.as_deref(), is_dead, age);
                        ending
                    }
                }
            }
        };
        self.finish(&held, &*name, ending).await;
    }

    /// Runs the handler, and renews the lease at the same time. Returns `None` if the worker stops before the handler
    /// has ended.
    async fn handle(&self, held: &Held, request: Request<Full<Bytes>>) -> Option<Worked> {
        let Ok(handling) = caught(|| self.handler.call(request)) else { return Some(Worked::Panicked) };
        let mut handling = pin!(supervise(handling, || held.handler_deadline()));
        let mut stopped = self.stopped.clone();
        let mut stopping = pin!(async move { stopped.wait_for(|stop| *stop == Stop::Now).await.is_ok() });
        let mut renewing = pin!(self.keep(held));
        let mut slow = pin!(Some(tokio::time::sleep(SLOW)));
        let mut aside = None;
        poll_fn(|cx| {
            if let Poll::Ready(ended) = handling.as_mut().poll(cx) {
                return Poll::Ready(Some(match ended {
                    Ok(worked) => worked,
                    Err(Stopped::Panicked) => Worked::Panicked,
                    Err(Stopped::TimedOut) => Worked::TimedOut,
                }));
            }
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if slow.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
                slow.set(None);
                aside = Some(Aside::take(&self.aside));
                // Another handler can start.
                self.new_work.notify_waiters();
            }
            let _ = renewing.as_mut().poll(cx);
            Poll::Pending
        })
        .await
    }

    /// Renews the lease while it is polled and the event is still held. It never ends.
    async fn keep(&self, held: &Held) -> Infallible {
        let lease = self.options.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match tokio::time::timeout(self.store_timeout, held.keep(lease)).await {
                Ok(Ok(Fenced::Applied)) => {}
                // Another worker has it. The claim shows this to the handler, which continues.
                Ok(Ok(Fenced::Stale)) => pending().await,
                Ok(Err(error)) => observe::inbox_failed("renew", &error),
                Err(_) => observe::inbox_failed("renew", &no_answer()),
            }
        }
    }

    /// Asks the store whether the event ended, if its handler marked it in a transaction and succeeded.
    async fn confirmed(&self, held: &Held, worked: Worked) -> Worked {
        let is_success = matches!(&worked, Worked::Responded { status, .. } if status.is_success());
        if !is_success || held.state() != HeldState::Doubtful {
            return worked;
        }
        for _ in 0..TRIES {
            match tokio::time::timeout(self.store_timeout, held.hold.is_done()).await {
                Ok(Ok(Fenced::Applied)) => return worked,
                Ok(Ok(Fenced::Stale)) => break,
                Ok(Err(error)) => observe::inbox_failed("is_done", &error),
                Err(_) => observe::inbox_failed("is_done", &no_answer()),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Worked::CommitForgotten
    }

    /// Stores the result of an event. If the store is unreachable for longer, the event is due again when its lease
    /// ends.
    async fn finish(&self, held: &Held, name: &(dyn fmt::Display + Send + Sync), ending: Ending) {
        if held.state() == HeldState::Done {
            return;
        }
        for attempt in 1..=TRIES {
            match tokio::time::timeout(self.store_timeout, held.hold.finish(ending.clone())).await {
                Ok(Ok(Fenced::Applied)) => return,
                Ok(Ok(Fenced::Stale)) => {
                    if held.state() == HeldState::Open {
                        observe::inbox_overtaken(name);
                    }
                    return;
                }
                Ok(Err(error)) => observe::inbox_failed("finish", &error),
                Err(_) => observe::inbox_failed("finish", &no_answer()),
            }
            tokio::time::sleep(BETWEEN_TRIES * attempt).await;
        }
    }
}

/// Runs the loop of a worker until `shutdown` is ready and the running handlers have ended, or were dropped because
/// they took too long. `beside` is polled at the same time.
pub(crate) async fn run<Q: Queue>(
    jobs: Arc<Q>,
    (room, drain): (Room, Duration),
    new_work: Arc<Notify>,
    stop: watch::Sender<Stop>,
    beside: BoxFuture<'static, ()>,
    shutdown: impl Future<Output = ()>,
) {
    let mut stopping = stop.subscribe();
    let told = async move { _ = stopping.wait_for(|stop| *stop != Stop::No).await };
    let mut run = pin!(queue::run(jobs, room, new_work, told));
    let mut shutdown = pin!(Some(shutdown));
    let mut patience = pin!(None);
    let mut beside = Some(beside);
    poll_fn(|cx| {
        if beside.as_mut().is_some_and(|beside| beside.as_mut().poll(cx).is_ready()) {
            beside = None;
        }
        if shutdown.as_mut().as_pin_mut().is_some_and(|shutdown| shutdown.poll(cx).is_ready()) {
            shutdown.set(None);
            let _ = stop.send(Stop::Soon);
            patience.set(Some(tokio::time::sleep(drain)));
        }
        let ended = run.as_mut().poll(cx);
        if ended.is_ready() {
            return ended;
        }
        if patience.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            patience.set(None);
            // All handlers are dropped, and their events are given back.
            let _ = stop.send(Stop::Now);
        }
        Poll::Pending
    })
    .await;
}

fn no_answer() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "no answer in time")
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// A handler that has given up its place.
struct Aside(Arc<AtomicUsize>);

impl Aside {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How long a handler has its place.
const SLOW: Duration = Duration::from_secs(2);

/// How often a call of the store is repeated. With the pauses, this takes longer than a restart of the store.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
