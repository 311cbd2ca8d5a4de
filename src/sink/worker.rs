//! The worker: it receives messages from a queue, passes them to handlers, and reports the results to the queue.

use std::{
    any::Any,
    fmt,
    future::{Future, pending},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tower_service::Service;

use super::{
    hand_off::DEFAULT_CONSUMER,
    hold::SinkHold,
    open::{Unread, Unsealed, name, opened},
    queue::SinkQueue,
    received::ReceivedMessage,
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    inbox::{
        self, DEFAULT_STORE_TIMEOUT, Ending, Handler, Hold, InboxRetries, Opened, SealingKey, Stop, Unhandled, Work,
        WorkOptions,
    },
    observe,
    queue::{Fenced, Queue, Taken},
};

/// Handles the messages of a [`SinkQueue`] until it is told to stop.
///
/// | the handler | the message |
/// |---|---|
/// | answers 2xx, or handles no such type | is acknowledged |
/// | returns [`Discard`](crate::Discard) | is acknowledged, and logged |
/// | returns [`Retry`](crate::Retry), fails, panics or runs out of time | is given out again, after a wait |
/// | asks for a time: `Retry::after`, or `Retry-After` | is given out again then, within 24 hours and within what the queue allows |
/// | cannot be given the payload | becomes a dead letter at once |
/// | fails for the last time | becomes a dead letter |
///
/// 1. A killed worker loses no message: the messages that it held are delivered again when their leases end.
/// 2. A lease is renewed while its handler runs. If it ends anyway, because the worker was paused, another worker gets
///    the message, and **both may run**: the queue does not notify the first one.
/// 3. Every delivery of a message by the queue counts as an attempt, even if the worker stops then.
/// 4. Handlers, places, timeouts and shutdown are those of an [`InboxWorker`](crate::inbox::InboxWorker). The [`Claim`](crate::Claim) that a handler
///    finds cannot join a transaction; that of an [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) around it can.
///
/// The [module](super) has an example.
pub struct SinkWorker {
    queue: Arc<dyn SinkQueue>,
    handler: Handler,
    consumer: Arc<str>,
    keys: Vec<SealingKey>,
    unsealed: Unsealed,
    options: WorkOptions,
}

impl SinkWorker {
    /// Creates a worker that passes the messages of `queue` to `service`: an `EventRouter` with its state, a handler's
    /// service, a whole `Router`, or one of them inside an `IdempotencyLayer`.
    pub fn new<S, R>(queue: impl SinkQueue, service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        R: Send + 'static,
    {
        Self {
            queue: Arc::new(queue),
            handler: Handler::new(service),
            consumer: DEFAULT_CONSUMER.into(),
            keys: Vec::new(),
            unsealed: Unsealed::Refused,
            options: WorkOptions::default(),
        }
    }

    /// Sets the name of the [`HandOff`](super::HandOff) whose sealed messages are opened; `sink` by default.
    #[must_use]
    pub fn with_consumer(mut self, name: impl Into<Arc<str>>) -> Self {
        self.consumer = name.into();
        self
    }

    /// Opens messages that were sealed with this key. Further calls add keys.
    ///
    /// A worker with a key handles only messages that are sealed with one of its keys. A message without a seal, or
    /// with a wrong one, becomes a dead letter at once, since its writer does not have the key. A message that is
    /// sealed with another key is retried, and becomes a dead letter after the last attempt.
    #[must_use]
    pub fn with_sealing_key(mut self, key: SealingKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Handles unsealed messages too, although there is a key. Use it only while the queue has messages from before the
    /// key was used. **Anyone who can write into the queue can then create events.**
    #[must_use]
    pub fn with_insecure_unsealed_messages(mut self) -> Self {
        self.unsealed = Unsealed::Taken;
        self
    }

    /// Sets how many handlers run at once; 32 by default, at least 1.
    #[must_use]
    pub fn with_concurrency(mut self, handlers: usize) -> Self {
        self.options.room.jobs = handlers.max(1);
        self
    }

    /// Sets how long a call waits for messages; 1 s by default. A shutdown may have to wait for this time.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.options.room.poll = wait;
        self
    }

    /// Sets how long a message is held without being renewed; 60 s by default, at least 1 s. After its worker was
    /// killed, a message waits for this time. A lease is renewed after a third of it.
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

    /// Sets how often and when a failed event is retried; see [`InboxRetries`].
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

    /// Changes each request before its handler sees it: adds an extension, or a header that was not passed on.
    #[must_use]
    pub fn with_request(mut self, prepare: impl Fn(&mut Request<Full<Bytes>>) + Send + Sync + 'static) -> Self {
        self.options.prepare = Some(Arc::new(prepare));
        self
    }

    /// Runs until `shutdown` is ready and the running handlers have ended. It never fails: a failure of the queue is
    /// logged, and the call is repeated.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { queue, handler, consumer, keys, unsealed, options } = self;
        let (room, drain, new_work) = (options.room, options.drain, Arc::default());
        let (stop, stopped) = watch::channel(Stop::No);
        let work = Work {
            handler,
            options,
            store_timeout: DEFAULT_STORE_TIMEOUT,
            unhandled: Unhandled::Acknowledged,
            stopped,
            aside: Arc::default(),
            new_work: Arc::clone(&new_work),
        };
        let jobs = Arc::new(Jobs { queue, consumer, keys, unsealed, work });
        inbox::run(jobs, (room, drain), new_work, stop, Box::pin(pending()), shutdown).await;
    }
}

/// The jobs of one worker. Each is a message that the queue has delivered.
struct Jobs {
    queue: Arc<dyn SinkQueue>,
    consumer: Arc<str>,
    keys: Vec<SealingKey>,
    unsealed: Unsealed,
    work: Work,
}

impl Queue for Jobs {
    type Job = (ReceivedMessage, Instant);

    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Self::Job>, StoreError>> {
        Box::pin(async move {
            let options = &self.work.options;
            // The lease starts here, and most of it must be left after the wait.
            let wait = options.room.poll.min(options.lease / 4);
            let asked_at = Instant::now();
            let receiving = self.queue.receive(limit, options.lease, wait);
            let received = timeout(wait + self.work.store_timeout, receiving).await.unwrap_or_else(|_| {
                Err(StoreError::new(StoreErrorKind::Unavailable, "receive messages: no answer in time"))
            })?;
            // If the queue does not wait itself, this limits the rate of calls.
            let next_due = if received.is_empty() { wait.saturating_sub(asked_at.elapsed()) } else { Duration::ZERO };
            let is_stopping = *self.work.stopped.borrow() != Stop::No;
            let mut jobs = Vec::with_capacity(received.len());
            for message in received {
                if is_stopping {
                    give_back(&message, self.work.store_timeout).await;
                } else {
                    jobs.push((message, asked_at));
                }
            }
            Ok(Taken { jobs, next_due: Some(next_due) })
        })
    }

    fn work(&self, (message, leased_at): Self::Job) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let ReceivedMessage { name, record, attempt, age, hold } = message;
            let (key, content) = match record {
                Ok((key, content)) => (key, self.open(&name, attempt, key, content)),
                Err(reason) => {
                    observe::inbox_unreadable(&reason);
                    (ClaimKey::from_bytes([0; 16]), Opened::Dead(reason))
                }
            };
            let hold = Box::new(SinkHeld(hold));
            let attempts = (attempt, attempt);
            self.work.work(inbox::Taken { hold, name: Box::new(name), key, attempts, content, age, leased_at }).await;
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

impl Jobs {
    fn open(&self, message: &str, attempt: u32, key: ClaimKey, content: crate::inbox::Content) -> Opened {
        let allowed = self.work.options.retries.attempts();
        if attempt > allowed {
            observe::inbox_exhausted(1);
            return Opened::Dead(
                format!("it was given out more than {allowed} times, and no worker has ended it").into(),
            );
        }
        match opened(&self.keys, self.unsealed, &name(&self.consumer, key), content) {
            Ok(content) => Opened::Content(content),
            Err(Unread::Forged(reason)) => {
                observe::sink_forged(&message, reason);
                Opened::Dead(reason.into())
            }
            Err(Unread::UnknownKey(reason)) => {
                let cause = StoreError::new(StoreErrorKind::Corrupt, Arc::clone(&reason));
                observe::inbox_failed("open", &cause);
                Opened::NotYet(reason)
            }
        }
    }
}

async fn give_back(message: &ReceivedMessage, within: Duration) {
    // If the queue does not accept the result, the message is delivered again when its lease ends.
    if let Ok(Err(error)) = timeout(within, message.hold.finish(Ending::Returned)).await {
        observe::inbox_failed("finish", &error);
    }
}

/// A message that is held. The queue does not report whether another worker holds it too.
struct SinkHeld(Box<dyn SinkHold>);

impl Hold for SinkHeld {
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { self.0.renew(lease).await.map(|()| Fenced::Applied) })
    }

    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move { self.0.finish(ending).await.map(|()| Fenced::Applied) })
    }

    fn finish_in<'a>(&'a self, _: &'a mut (dyn Any + Send)) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        let context =
            "end a message of a queue in a transaction: put an `IdempotencyLayer` around the handler, whose claim can";
        Box::pin(std::future::ready(Err(StoreError::new(StoreErrorKind::WrongTransaction, context))))
    }

    fn is_done(&self) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(std::future::ready(Ok(Fenced::Stale)))
    }
}

impl fmt::Debug for SinkWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkWorker")
            .field("consumer", &self.consumer)
            .field("concurrency", &self.options.room.jobs)
            .field("lease", &self.options.lease)
            .field("handler_timeout", &self.options.handler_timeout)
            .field("retries", &self.options.retries)
            .finish_non_exhaustive()
    }
}
