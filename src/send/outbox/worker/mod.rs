//! The worker: it leases due deliveries, makes the attempts, and stores the results.

pub(crate) mod jobs;
mod opened;
mod outcome;
mod places;
mod token;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use tokio::task::JoinSet;

use self::jobs::Jobs;
use crate::{
    queue,
    send::outbox::{dispatcher::Dispatcher, history, purge},
};

/// Delivers due messages, until it is shut down.
///
/// 1. If a worker is killed, nothing is lost: the deliveries that it held are sent again, under the same ids, when
///    their leases end.
/// 2. If an attempt ends after its lease, and another worker has leased the delivery, its result changes nothing.
/// 3. Endpoints that are new, or had an attempt that took longer than 2 s in the last ten minutes, have at most half of its places
///    together. An attempt that takes longer than 2 s gives up its place to others, and counts among that half.
/// 4. A tenant with a name never has more places than are free. If it is alone, that is half of them. So there is always room for
///    other tenants.
/// 5. On shutdown it begins no further attempts, and ends when the results of the running ones are stored: after at
///    most 15 seconds, unless the store is down.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # mod example {
/// use std::{sync::Arc, time::Duration};
/// use http::StatusCode;
/// use tokio::sync::Notify;
/// use tower_webhooks::{
///     BoxFuture,
///     send::{
///         AttemptRequest, AttemptResult, DeliveryState, DestinationPolicy, Dispatcher, EndpointResponse, Message, NewEndpoint, SealingKey,
///         Transport,
///     },
///     store::MemoryOutbox,
/// };
///
/// struct Pretend; // a test's own client
///
/// impl Transport for Pretend {
///     fn send(&self, _: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
///         Box::pin(std::future::ready(AttemptResult::answered(EndpointResponse::new(StatusCode::OK), Duration::ZERO)))
///     }
/// }
///
/// # pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let done = Arc::new(Notify::new());
/// let tell = done.clone();
/// let webhooks = Dispatcher::builder(MemoryOutbox::new())
///     .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
///     .transport(Pretend, DestinationPolicy::default())
///     .on_delivered(move |_| tell.notify_one())
///     .build()?;
/// webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?).await?;
/// webhooks.dispatch(Message::new("order.completed", &[7])?).await?;
///
/// // An application spawns the worker, and stops it when it stops itself.
/// webhooks.worker().run(async move { done.notified().await }).await;
///
/// let delivery = webhooks.deliveries(None, Default::default()).await?.remove(0);
/// assert_eq!(delivery.state, DeliveryState::Delivered);
/// # Ok(()) }
/// # }
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> { example::run().await }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub struct SendWorker {
    jobs: Arc<Jobs>,
}

impl Dispatcher {
    /// Creates a worker. Any number of workers can run, in any number of processes.
    pub fn worker(&self) -> SendWorker {
        SendWorker::new(self.clone())
    }
}

impl SendWorker {
    pub(crate) fn new(dispatcher: Dispatcher) -> Self {
        Self { jobs: Arc::new(Jobs::new(dispatcher)) }
    }

    /// Delivers until `shutdown` is ready and the running attempts have ended. It never fails: if the store fails, this
    /// is logged, and the worker tries again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let shared = self.jobs.shared();
        let (room, new_work) = (shared.room, shared.new_work.clone());
        let store = shared.store.clone();
        let wake = new_work.clone();
        // What is done beside has tasks of its own, which end with this future.
        let (of_purge, of_history) = (shared.clone(), shared.clone());
        let mut beside = JoinSet::new();
        beside.spawn(async move { purge::run(&of_purge).await });
        beside.spawn(async move { history::run(&of_history).await });
        let mut listen = Some(store.listen(Box::new(move || wake.notify_waiters())));
        let mut run = pin!(queue::run(self.jobs, room, new_work, shutdown));
        poll_fn(|cx| {
            if listen.as_mut().is_some_and(|listen| listen.as_mut().poll(cx).is_ready()) {
                // The store has nothing to listen to, or no longer.
                listen = None;
            }
            run.as_mut().poll(cx)
        })
        .await;
    }
}

impl fmt::Debug for SendWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendWorker").field("dispatcher", self.jobs.dispatcher()).finish()
    }
}
