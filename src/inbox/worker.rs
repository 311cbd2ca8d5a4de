//! The worker: it leases due events, runs their handlers, and stores the results.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    held::Hold,
    inbox::Inbox,
    names,
    retries::InboxRetries,
    sealed,
    shared::Shared,
    store::{Ending, InboxId, InboxLease, InboxStore, LeasedEvent},
    upkeep,
    work::{self, Opened, Stop, Unhandled, Work, WorkOptions},
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    mutex::Mutex,
    observe,
    queue::{Fenced, LeaseToken, Queue, Taken},
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
/// [`Claim`](crate::Claim) and its state. It does not get facts about the connection, or extensions of outer layers: add what
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
    options: WorkOptions,
    source_limit: Option<u32>,
}

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
        Self { shared, options: WorkOptions::default(), source_limit: None }
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
        self.source_limit = Some(handlers.max(1));
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
    /// [`Claim::renew`](crate::Claim::renew) gives a handler more time.
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
        let Self { shared, options, source_limit } = self;
        let (room, drain, new_work) = (options.room, options.drain, Arc::clone(&shared.new_work));
        let wake = Arc::clone(&new_work);
        // Upkeep has its own task, which ends with this future.
        let mut upkeeping = JoinSet::new();
        let of_upkeep = Arc::clone(&shared);
        upkeeping.spawn(async move { upkeep::run(&of_upkeep).await });
        let listening = shared.store.listen(Box::new(move || wake.notify_waiters()));
        let (stop, stopped) = watch::channel(Stop::No);
        let work = Work {
            handler: shared.handler.clone(),
            options,
            store_timeout: shared.settings.store_timeout,
            unhandled: Unhandled::Misplaced,
            stopped,
            aside: Arc::default(),
            new_work: Arc::clone(&new_work),
        };
        let jobs = Arc::new(Jobs { shared, source_limit, work, sources: Sources::default() });
        work::run(jobs, (room, drain), new_work, stop, listening, shutdown).await;
    }
}

/// The jobs of one worker: each is an event that is due.
struct Jobs {
    shared: Arc<Shared>,
    source_limit: Option<u32>,
    work: Work,
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
            let options = &self.work.options;
            let attempts = options.retries.attempts();
            let leased_at = Instant::now();
            let mut request = InboxLease::new(consumer, token, options.lease, limit, attempts);
            if self.source_limit.is_some() {
                (request.source_limit, request.held) = (self.source_limit, self.sources.held());
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
            let content = match sealed::open(&self.shared.settings.sealing_keys, &sealed::of_inbox(key), content) {
                Ok(content) => Opened::Content(content),
                Err(unopened) => {
                    observe::inbox_failed("open", &unopened);
                    Opened::NotYet(unopened.to_string().into())
                }
            };
            let hold = Box::new(StoreHold { store: Arc::clone(&self.shared.store), id, token });
            let attempts = (attempt, round_attempt);
            self.work.work(work::Taken { hold, name: Box::new(id), key, attempts, content, age, leased_at }).await;
            drop(of_source);
        })
    }

    fn set_aside(&self) -> usize {
        self.work.aside.load(Ordering::SeqCst)
    }

    fn failed(&self, error: Option<&StoreError>) {
        match error {
            Some(error) => observe::inbox_failed("lease", error),
            None => observe::inbox_worker_panicked(),
        }
    }
}

/// An event of a store that is held.
struct StoreHold {
    store: Arc<dyn InboxStore>,
    id: InboxId,
    token: LeaseToken,
}

impl Hold for StoreHold {
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.renew(self.id, self.token, lease)
    }

    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.finish(self.id, self.token, ending)
    }

    fn finish_in<'a>(&'a self, connection: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        self.store.finish_in(connection, self.id, self.token)
    }

    fn is_done(&self) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.store.is_done(self.id, self.token)
    }
}

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
