//! The worker: it leases due events, runs their handlers, and stores the results.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    head,
    held::{Held, HeldState, later},
    inbox::Inbox,
    names,
    outcome::Worked,
    retries::InboxRetries,
    sealed,
    shared::Shared,
    store::{Ending, InboxLease, LeasedEvent},
    upkeep,
};
use crate::{
    boxed::BoxFuture,
    claim::{Claim, ClaimHandle},
    error::{StoreError, StoreErrorKind},
    mutex::Mutex,
    observe,
    panics::{Stopped, caught, supervise},
    queue::{self, Fenced, LeaseToken, Queue, Room, Taken},
};

/// Handles the events that an [`Inbox`](super::Inbox) has stored, until it is shut down.
///
/// 1. If a worker is killed, no event is lost: the events that it held are handled again when their leases end.
/// 2. A lease is renewed while its handler runs. If a worker could not renew it and another worker has taken the event,
///    the first worker's result changes nothing.
/// 3. A handler that takes longer than 2 s gives its place to others, so that a few slow handlers do not delay the
///    rest. At most as many handlers as there are places do so.
/// 4. On shutdown it starts no further events. Handlers may run for [a while](Self::with_drain) longer; then they are
///    dropped, and their events are due at once for other workers.
///
/// A handler gets the method, the original URI, the stored headers, the body, the [`Delivery`](crate::Delivery), a
/// [`Claim`] and its state. It does not get facts about the connection, or extensions of outer layers: add what
/// handlers need with [`with_request`](Self::with_request).
///
/// ```
/// use tower_webhooks::{EventRouter, Inbox, VerifiedEvent, store::MemoryInbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let events: EventRouter = EventRouter::new().on("push", async |_: VerifiedEvent<serde_json::Value>| ());
/// let inbox = Inbox::new(MemoryInbox::new(), events);
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let worker = tokio::spawn(inbox.worker().run(async { _ = stopped.await }));
/// // … serve; at the end the worker lets its handlers finish:
/// stop.send(()).unwrap();
/// worker.await.unwrap();
/// # }
/// ```
pub struct InboxWorker {
    shared: Arc<Shared>,
    options: Options,
}

#[derive(Clone)]
struct Options {
    room: Room,
    source_limit: Option<u32>,
    lease: Duration,
    handler_timeout: Duration,
    drain: Duration,
    retries: InboxRetries,
    prepare: Option<Arc<Prepare>>,
}

type Prepare = dyn Fn(&mut Request<Full<Bytes>>) + Send + Sync;

/// How many handlers run at once.
const DEFAULT_CONCURRENCY: usize = 32;
const DEFAULT_POLL: Duration = Duration::from_secs(1);
/// How long an event waits after its worker was killed.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);
/// No sender waits for a handler here.
const DEFAULT_HANDLER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);

impl Inbox {
    /// Creates a worker for the stored events. Any number of workers can run, in any number of processes.
    ///
    /// # Panics
    /// If another inbox with the same name and the same store has a worker in this process: each would take the events
    /// of the other. Set different names by [`with_consumer`](Self::with_consumer).
    #[track_caller]
    pub fn worker(&self) -> InboxWorker {
        if names::are_taken(&self.shared) {
            let name = &self.shared.settings.consumer;
            panic!(
                "two inboxes named `{name}` share a store, and each would take the events of the other; name them with `with_consumer`"
            );
        }
        InboxWorker::new(Arc::clone(&self.shared))
    }
}

impl InboxWorker {
    fn new(shared: Arc<Shared>) -> Self {
        let options = Options {
            room: Room { jobs: DEFAULT_CONCURRENCY, poll: DEFAULT_POLL },
            source_limit: None,
            lease: DEFAULT_LEASE,
            handler_timeout: DEFAULT_HANDLER_TIMEOUT,
            drain: DEFAULT_DRAIN,
            retries: InboxRetries::default(),
            prepare: None,
        };
        Self { shared, options }
    }

    /// Sets how many handlers run at once; 32 by default, at least 1.
    #[must_use]
    pub fn with_concurrency(mut self, handlers: usize) -> Self {
        self.options.room.jobs = handlers.max(1);
        self
    }

    /// Sets how many handlers run at once for the events of one provider, at least 1, so that a sender with slow or
    /// many events does not occupy all places. Handlers that have given up their place count too. By default there is
    /// no limit.
    #[must_use]
    pub fn with_source_limit(mut self, handlers: u32) -> Self {
        self.options.source_limit = Some(handlers.max(1));
        self
    }

    /// Sets how often an idle worker looks for events that other processes have stored; every 1 s by default. Events of
    /// this process wake it at once.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.options.room.poll = interval;
        self
    }

    /// Sets the length of a lease; 60 s by default, at least 1 s. If a worker is killed, its events are handled again
    /// after this time. A running worker renews a lease after a third of it.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease.max(Duration::from_secs(1));
        self
    }

    /// Sets how long a handler may run; 5 minutes by default. Then it is dropped, and its event is retried later.
    /// [`Claim::renew`] gives a handler more time.
    #[must_use]
    pub fn with_handler_timeout(mut self, timeout: Duration) -> Self {
        self.options.handler_timeout = timeout;
        self
    }

    /// Sets when, and how often, a failed event is retried; see [`InboxRetries`].
    #[must_use]
    pub fn with_retries(mut self, retries: InboxRetries) -> Self {
        self.options.retries = retries;
        self
    }

    /// Sets how long handlers may go on after a shutdown; 25 s by default, which is within the 30 s that most supervisors give a process.
    #[must_use]
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.options.drain = drain;
        self
    }

    /// Sets a function that changes each request before its handler gets it, for example to add an extension or a
    /// header that is not stored.
    #[must_use]
    pub fn with_request(mut self, prepare: impl Fn(&mut Request<Full<Bytes>>) + Send + Sync + 'static) -> Self {
        self.options.prepare = Some(Arc::new(prepare));
        self
    }

    /// Handles events until `shutdown` is ready and the started handlers have ended. It never fails: if the store
    /// fails, this is logged, and the worker tries again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { shared, options } = self;
        let (room, new_work, drain) = (options.room, Arc::clone(&shared.new_work), options.drain);
        let wake = Arc::clone(&new_work);
        // Upkeep has its own task, which ends with this future.
        let mut beside = JoinSet::new();
        let of_upkeep = Arc::clone(&shared);
        beside.spawn(async move { upkeep::run(&of_upkeep).await });
        let mut listen = Some(shared.store.listen(Box::new(move || wake.notify_waiters())));
        let (stop, stopped) = watch::channel(Stop::No);
        let jobs = Arc::new(Jobs { shared, options, stopped, aside: Arc::default(), sources: Sources::default() });
        let shutdown = async {
            shutdown.await;
            let _ = stop.send(Stop::Soon);
        };
        let mut run = pin!(queue::run(jobs, room, new_work, shutdown));
        let mut patience = pin!(None);
        let mut stopping = stop.subscribe();
        let mut told = pin!(async move { stopping.wait_for(|stop| *stop != Stop::No).await.is_ok() });
        let mut is_told = false;
        poll_fn(|cx| {
            if listen.as_mut().is_some_and(|listen| listen.as_mut().poll(cx).is_ready()) {
                listen = None;
            }
            let ended = run.as_mut().poll(cx);
            if ended.is_ready() {
                return ended;
            }
            if !is_told && told.as_mut().poll(cx).is_ready() {
                is_told = true;
                patience.set(Some(tokio::time::sleep(drain)));
            }
            if patience.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
                patience.set(None);
                // Every handler is dropped, and its event given back.
                let _ = stop.send(Stop::Now);
            }
            std::task::Poll::Pending
        })
        .await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Now,
    Soon,
}

/// The jobs of one worker: each is an event that is due.
struct Jobs {
    shared: Arc<Shared>,
    options: Options,
    stopped: watch::Receiver<Stop>,
    /// How many handlers have run for so long that they do not occupy a place.
    aside: Arc<AtomicUsize>,
    sources: Sources,
}

/// How many events of each source a worker holds.
#[derive(Clone, Default)]
struct Sources(Arc<Mutex<BTreeMap<Arc<str>, u32>>>);

impl Sources {
    fn held(&self) -> Vec<(Arc<str>, u32)> {
        self.0.lock().iter().map(|(source, held)| (Arc::clone(source), *held)).collect()
    }

    fn take(&self, source: &Arc<str>) -> OfSource {
        *self.0.lock().entry(Arc::clone(source)).or_default() += 1;
        OfSource { sources: self.clone(), source: Arc::clone(source) }
    }
}

/// An event of a source that is held, until this is dropped.
struct OfSource {
    sources: Sources,
    source: Arc<str>,
}

impl Drop for OfSource {
    fn drop(&mut self) {
        let mut sources = self.sources.0.lock();
        if let Some(held) = sources.get_mut(&self.source) {
            *held -= 1;
            if *held == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

struct Job {
    /// Dropped when the event has ended.
    of_source: OfSource,
    event: LeasedEvent,
    token: LeaseToken,
    /// The time before the call of the store, so that the lease begins at this time or later.
    leased_at: Instant,
}

impl Queue for Jobs {
    type Job = Job;

    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Job>, StoreError>> {
        Box::pin(async move {
            let token = LeaseToken::random().map_err(|cause| {
                StoreError::new(StoreErrorKind::Unavailable, "create a token for a lease").with_source(cause)
            })?;
            let consumer = Arc::clone(&self.shared.settings.consumer);
            let attempts = self.options.retries.attempts();
            let leased_at = Instant::now();
            let mut request = InboxLease::new(consumer, token, self.options.lease, limit, attempts);
            if self.options.source_limit.is_some() {
                (request.source_limit, request.held) = (self.options.source_limit, self.sources.held());
            }
            let leases = self.shared.store.lease(request).await?;
            if leases.exhausted > 0 {
                observe::inbox_exhausted(leases.exhausted);
            }
            let jobs = leases.events.into_iter();
            let jobs = jobs.map(|event| Job { of_source: self.sources.take(&event.provider), event, token, leased_at });
            let jobs = jobs.collect();
            Ok(Taken { jobs, next_due: leases.next_due })
        })
    }

    fn work(&self, job: Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Job { of_source, event, token, leased_at } = job;
            let LeasedEvent { id, key, attempt, round_attempt, content, age, .. } = event;
            let ends = (later(leased_at, self.options.handler_timeout), later(leased_at, self.options.lease));
            let held = Arc::new(Held::new(
                Arc::clone(&self.shared.store),
                (id, key, token, attempt),
                ends,
                self.options.lease,
            ));
            let opened = sealed::open(&self.shared.settings.sealing_keys, key, content);
            let ending = match opened.map(head::restore) {
                // Where keys are changed in another order than they should be, it comes soon.
                Err(unopened) => {
                    observe::inbox_failed("open", &unopened);
                    let random = getrandom::u64().unwrap_or(u64::MAX / 2);
                    Worked::Unopened(unopened.to_string().into()).ending(&self.options.retries, round_attempt, random)
                }
                Ok(None) => Ending::Dead { reason: "the stored event cannot be read".into() },
                Ok(Some((mut request, delivery))) => {
                    let working = observe::Working::begin(&delivery, &id, attempt);
                    let is_ours = self.shared.handler.handles(&delivery);
                    let handle: Arc<dyn ClaimHandle> = Arc::clone(&held) as _;
                    request.extensions_mut().insert(Claim::new(handle));
                    let prepared = match &self.options.prepare {
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
                            let random = getrandom::u64().unwrap_or(u64::MAX / 2);
                            let ending = worked.ending(&self.options.retries, round_attempt, random);
                            // That one is discarded was logged when its handler said so.
                            let reason = ending.reason().filter(|_| !matches!(ending, Ending::Discarded { .. }));
                            let is_dead = matches!(ending, Ending::Dead { .. });
                            working.end(worked.outcome(), reason.as_deref(), is_dead, age);
                            ending
                        }
                    }
                }
            };
            self.finish(&held, ending).await;
            drop(of_source);
        })
    }

    fn set_aside(&self) -> usize {
        self.aside.load(Ordering::SeqCst)
    }

    fn failed(&self, error: Option<&StoreError>) {
        match error {
            Some(error) => observe::inbox_failed("lease", error),
            None => observe::inbox_worker_panicked(),
        }
    }
}

impl Jobs {
    /// Runs the handler, and renews the lease meanwhile. `None` if the worker stops before it has ended.
    async fn handle(&self, held: &Held, request: Request<Full<Bytes>>) -> Option<Worked> {
        let Ok(handling) = caught(|| self.shared.handler.call(request)) else { return Some(Worked::Panicked) };
        let mut handling = pin!(supervise(handling, || held.handler_deadline()));
        let mut stopped = self.stopped.clone();
        let mut stopping = pin!(async move { stopped.wait_for(|stop| *stop == Stop::Now).await.is_ok() });
        let mut renewing = pin!(self.keep(held));
        let mut slow = pin!(Some(tokio::time::sleep(SLOW)));
        let mut aside = None;
        poll_fn(|cx| {
            if let std::task::Poll::Ready(ended) = handling.as_mut().poll(cx) {
                return std::task::Poll::Ready(Some(match ended {
                    Ok(worked) => worked,
                    Err(Stopped::Panicked) => Worked::Panicked,
                    Err(Stopped::TimedOut) => Worked::TimedOut,
                }));
            }
            if stopping.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(None);
            }
            if slow.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
                slow.set(None);
                aside = Some(Aside::take(&self.aside));
                // There is room for another.
                self.shared.new_work.notify_waiters();
            }
            let _ = renewing.as_mut().poll(cx);
            std::task::Poll::Pending
        })
        .await
    }

    /// Renews the lease for as long as it is polled and the event is still held. It never ends.
    async fn keep(&self, held: &Held) -> std::convert::Infallible {
        let lease = self.options.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match tokio::time::timeout(self.shared.settings.store_timeout, held.keep(lease)).await {
                Ok(Ok(Fenced::Applied)) => {}
                // Another worker has the event. The claim reports this to the handler, which continues.
                Ok(Ok(Fenced::Stale)) => std::future::pending().await,
                Ok(Err(error)) => observe::inbox_failed("renew", &error),
                Err(_) => observe::inbox_failed("renew", &no_answer()),
            }
        }
    }

    /// Asks the store for the state if the handler marked its event in a transaction and returned a success.
    async fn confirmed(&self, held: &Held, worked: Worked) -> Worked {
        let is_success = matches!(&worked, Worked::Responded { status, .. } if status.is_success());
        if !is_success || held.state() != HeldState::Doubtful {
            return worked;
        }
        for _ in 0..TRIES {
            let asked = self.shared.store.is_done(held.id, held.token);
            match tokio::time::timeout(self.shared.settings.store_timeout, asked).await {
                Ok(Ok(Fenced::Applied)) => return worked,
                Ok(Ok(Fenced::Stale)) => break,
                Ok(Err(error)) => observe::inbox_failed("is_done", &error),
                Err(_) => observe::inbox_failed("is_done", &no_answer()),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Worked::CommitForgotten
    }

    /// Stores how an attempt ended. If the store is down for longer, the event is due again when its lease ends.
    async fn finish(&self, held: &Held, ending: Ending) {
        if held.state() == HeldState::Done {
            return;
        }
        for attempt in 1..=TRIES {
            let finished = self.shared.store.finish(held.id, held.token, ending.clone());
            match tokio::time::timeout(self.shared.settings.store_timeout, finished).await {
                Ok(Ok(Fenced::Applied)) => return,
                Ok(Ok(Fenced::Stale)) => {
                    if held.state() == HeldState::Open {
                        observe::inbox_overtaken(&held.id);
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

fn no_answer() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "no answer in time")
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

/// How long a handler occupies a place.
const SLOW: Duration = Duration::from_secs(2);

/// How many times a result is offered to the store. With the pauses, this takes longer than a restart of the store.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

impl fmt::Debug for InboxWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxWorker")
            .field("consumer", &self.shared.settings.consumer)
            .field("concurrency", &self.options.room.jobs)
            .field("lease", &self.options.lease)
            .field("handler_timeout", &self.options.handler_timeout)
            .field("retries", &self.options.retries)
            .finish_non_exhaustive()
    }
}
