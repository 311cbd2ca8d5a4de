use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet};

use super::wait::full_jitter;
use crate::{boxed::BoxFuture, error::StoreError};

/// The interface of a queue for its workers.
pub(crate) trait Queue: Send + Sync + 'static {
    type Job: Send + 'static;

    /// Leases up to `limit` jobs that are due.
    fn take(&self, limit: u32) -> BoxFuture<'_, Result<Taken<Self::Job>, StoreError>>;

    /// Works on one job and stores its result.
    fn work(&self, job: Self::Job) -> BoxFuture<'_, ()>;

    /// Returns how many of the current jobs do not count against the limit, since they have taken so long that others
    /// may start.
    fn set_aside(&self) -> usize {
        0
    }

    /// Called if the store failed (with its error) or if a job panicked; the job is leased again when its lease has
    /// ended.
    fn failed(&self, error: Option<&StoreError>);
}

/// The jobs that were leased, and when to look again if nothing wakes the worker before.
pub(crate) struct Taken<J> {
    pub(crate) jobs: Vec<J>,
    /// The time until another job is due, if the store knows it.
    pub(crate) next_due: Option<Duration>,
}

/// How many jobs a worker runs at once, and how often it looks for new ones.
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

/// Runs jobs until `shutdown`, and then waits until the jobs that it has taken have ended.
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
        // Created before the store is asked, so that a job that is added meanwhile still wakes the worker.
        let mut notified = pin!(new_jobs.notified());
        notified.as_mut().enable();

        // The number of jobs set aside is limited too; otherwise slow jobs could take all memory.
        let aside = queue.set_aside().min(room.jobs);
        let free = room.jobs.saturating_sub(jobs.len().saturating_sub(aside));
        let mut pause = room.poll;
        if free > 0 {
            match queue.take(u32::try_from(free).unwrap_or(u32::MAX)).await {
                Ok(taken) => {
                    failures = 0;
                    if !taken.jobs.is_empty() {
                        // There may be more jobs than were asked for.
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
        // After a failure neither new jobs nor ended ones cut the pause short; otherwise a busy worker would ask a
        // failing store all the time.
        let may_look = failures == 0;
        let wake = poll_fn(|cx| {
            // First, so that a worker whose jobs keep ending still stops.
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
                // Handles all jobs that have ended by now, before the store is asked again.
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

/// A store that failed is asked again after at most this time, doubled up to five times, even if an idle worker looks
/// less often.
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

    /// An application that does not want polling may set the longest possible interval.
    #[tokio::test(start_paused = true)]
    async fn the_longest_interval_is_no_panic_when_the_store_fails() {
        let queue = Arc::new(Down::default());
        let room = Room { jobs: 1, poll: Duration::MAX };
        let until = tokio::time::sleep(Duration::from_secs(3600));

        run(queue.clone(), room, Arc::default(), until).await;

        assert!(queue.0.load(SeqCst) > 10, "it goes on asking");
    }
}
