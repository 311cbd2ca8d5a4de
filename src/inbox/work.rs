//! How an event is worked, whichever queue it came from: its handler runs while its lease is renewed, and what became of it is noted.

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
/// How long an event waits whose worker was killed.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);
/// No sender waits for a handler here.
const DEFAULT_HANDLER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);

/// What is set of a worker.
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

/// How far a worker has been told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    Now,
    Soon,
}

/// What becomes of an event whose type its `EventRouter` does not handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unhandled {
    /// Others decide what is stored, and this one is not wanted.
    Acknowledged,
    /// Only what is handled is stored, so that it is in the wrong place.
    Misplaced,
}

/// What was taken from a queue, and is held until it is finished.
pub(crate) struct Taken {
    pub(crate) hold: Box<dyn Hold>,
    /// What it is called in logs.
    pub(crate) name: Box<dyn fmt::Display + Send + Sync>,
    pub(crate) key: ClaimKey,
    /// How often it was begun, with this time; and since it last came, or was last replayed.
    pub(crate) attempts: (u32, u32),
    pub(crate) content: Opened,
    /// How long ago it was accepted.
    pub(crate) age: Duration,
    /// When it was asked for, which is no later than its lease began.
    pub(crate) leased_at: Instant,
}

/// What was stored of an event.
pub(crate) enum Opened {
    Content(Content),
    /// It is dead, and is not begun. Whoever says so has logged it.
    Dead(Arc<str>),
    /// It cannot be opened with the keys that are here; one may come.
    NotYet(Arc<str>),
}

/// Works one event after the other for a worker.
pub(crate) struct Work {
    pub(crate) handler: Handler,
    pub(crate) options: WorkOptions,
    pub(crate) store_timeout: Duration,
    pub(crate) unhandled: Unhandled,
    pub(crate) stopped: watch::Receiver<Stop>,
    /// How many handlers have run for so long that they take no place.
    pub(crate) aside: Arc<AtomicUsize>,
    pub(crate) new_work: Arc<Notify>,
}

impl Work {
    /// Has an event handled, and notes what became of it.
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
                // Where keys are changed in another order than they should be, the right one comes soon.
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
                        // That one is discarded was logged when its handler said so.
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

    /// Runs the handler, and renews the lease meanwhile. `None` if the worker stops before it has ended.
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
                // There is room for another.
                self.new_work.notify_waiters();
            }
            let _ = renewing.as_mut().poll(cx);
            Poll::Pending
        })
        .await
    }

    /// Renews the lease for as long as it is polled and the event is still held. It never ends.
    async fn keep(&self, held: &Held) -> Infallible {
        let lease = self.options.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match tokio::time::timeout(self.store_timeout, held.keep(lease)).await {
                Ok(Ok(Fenced::Applied)) => {}
                // Another has it. The handler is told by its claim, and goes on.
                Ok(Ok(Fenced::Stale)) => pending().await,
                Ok(Err(error)) => observe::inbox_failed("renew", &error),
                Err(_) => observe::inbox_failed("renew", &no_answer()),
            }
        }
    }

    /// Asks the store where a handler marked its event in a transaction and said that it was done.
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

    /// Notes what became of an event. If the store is down for longer, the event comes back when its lease ends.
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

/// Runs the loop of a worker until `shutdown` is ready and what was begun has ended, or was dropped since it took too long. `beside` is polled
/// meanwhile.
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
            // Every handler is dropped, and its event given back.
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

/// A handler that is out of its place.
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

/// How often the store is asked to note something. With the pauses that is longer than a restart of it takes.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
