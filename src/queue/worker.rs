use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet};

use super::full_jitter;
use crate::{boxed::BoxFuture, error::StoreError};

/// A queue as its workers see it.
pub(crate) trait Queue: Send + Sync + 'static {
    type Job: Send + 'static;

    /// Leases up to `limit` jobs that are due.
    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Self::Job>, StoreError>>;

    /// Works one job and writes down what became of it.
    fn work(&self, job: Self::Job) -> BoxFuture<'_, ()>;

    /// How many of the jobs that are being worked take no room: they have taken so long that others go on without them.
    fn set_aside(&self) -> usize {
        0
    }

    /// Is told that the store failed, or that working a job panicked; the job comes back when its lease ends.
    fn failed(&self, error: Option<&StoreError>);
}

/// What was leased, and when to look again if nothing wakes the worker before.
pub(crate) struct Taken<J> {
    pub(crate) jobs: Vec<J>,
    /// How long until something else is due, where the store knows.
    pub(crate) next_due: Option<Duration>,
}

/// How much a worker does at once, and how often it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) jobs: usize,
    pub(crate) poll: Duration,
}

enum Wake {
    JobEnded,
    Look,
    Shutdown,
}

/// Works until `shutdown`, and then until what was taken has ended.
pub(crate) async fn run<Q: Queue>(
    queue: Arc<Q>,
    room: Room,
    new_jobs: Arc<Notify>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut jobs = JoinSet::new();
    let mut failures = 0_u32;
    loop {
        // Made before the store is asked, so that what is added meanwhile is not slept over.
        let mut notified = pin!(new_jobs.notified());
        notified.as_mut().enable();

        // Those set aside are bounded too, or slow jobs without end would take all memory.
        let aside = queue.set_aside().min(room.jobs);
        let free = room.jobs.saturating_sub(jobs.len().saturating_sub(aside));
        let mut pause = room.poll;
        if free > 0 {
            match queue.take(u32::try_from(free).unwrap_or(u32::MAX)).await {
                Ok(taken) => {
                    failures = 0;
                    if !taken.jobs.is_empty() {
                        // There may be more than was asked for.
                        pause = SHORTEST_PAUSE;
                    } else if let Some(due) = taken.next_due {
                        pause = due.clamp(SHORTEST_PAUSE, room.poll);
                    }
                    for job in taken.jobs {
                        let queue = queue.clone();
                        jobs.spawn(async move { queue.work(job).await });
                    }
                }
                Err(error) => {
                    queue.failed(Some(&error));
                    failures = failures.saturating_add(1);
                    let step = room.poll.min(LONGEST_STEP);
                    let most = step * (1 << failures.min(5));
                    pause = step + full_jitter(most, getrandom::u64().unwrap_or(u64::MAX / 2));
                }
            }
        }

        let mut sleep = pin!(tokio::time::sleep(pause));
        let may_look = failures == 0;
        let wake = poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Wake::Shutdown);
            }
            if let Poll::Ready(Some(ended)) = jobs.poll_join_next(cx) {
                if ended.is_err() {
                    queue.failed(None);
                }
                if failures == 0 {
                    return Poll::Ready(Wake::JobEnded);
                }
            }
            let woken = may_look && notified.as_mut().poll(cx).is_ready();
            if woken || sleep.as_mut().poll(cx).is_ready() { Poll::Ready(Wake::Look) } else { Poll::Pending }
        })
        .await;
        match wake {
            Wake::Shutdown => break,
            Wake::JobEnded => {
                // Those that ended at the same time make room together.
                while let Some(ended) = jobs.try_join_next() {
                    if ended.is_err() {
                        queue.failed(None);
                    }
                }
            }
            Wake::Look => {}
        }
    }
    while let Some(ended) = jobs.join_next().await {
        if ended.is_err() {
            queue.failed(None);
        }
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// A store that failed is asked again after this or less, doubled up to five times, however rarely an idle worker looks.
const LONGEST_STEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering::SeqCst},
        },
        time::Duration,
    };

    use super::{Queue, Room, Taken, run};
    use crate::{
        boxed::BoxFuture,
        error::{StoreError, StoreErrorKind},
    };

    #[derive(Default)]
    struct Down(AtomicU32);

    impl Queue for Down {
        type Job = ();

        fn take(&self, _limit: u32) -> BoxFuture<'_, Result<Taken<()>, StoreError>> {
            Box::pin(ready(Err(StoreError::new(StoreErrorKind::Unavailable, "down"))))
        }

        fn work(&self, _job: ()) -> BoxFuture<'_, ()> {
            Box::pin(ready(()))
        }

        fn failed(&self, _error: Option<&StoreError>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Who does not want to poll may ask for the longest interval that there is.
    #[tokio::test(start_paused = true)]
    async fn the_longest_interval_is_no_panic_when_the_store_fails() {
        let queue = Arc::new(Down::default());
        let room = Room { jobs: 1, poll: Duration::MAX };
        let until = tokio::time::sleep(Duration::from_secs(3600));

        run(queue.clone(), room, Arc::default(), until).await;

        assert!(queue.0.load(SeqCst) > 10, "it goes on asking");
    }
}
