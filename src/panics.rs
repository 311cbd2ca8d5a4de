//! Panics of the application's code, as values.
//!
//! The code of an application runs inside of ours: handlers, sources of secrets, destructors. A panic of it is an outcome like any other, and
//! ends neither the connection nor a worker. After a panic, nothing of what panicked is used again.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::time::{Instant, sleep_until};

/// The code has panicked. The panic's message has gone to the panic hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Why a future did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Panicked,
    TimedOut,
}

/// Calls code that may panic.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Polls a future that may panic. One that has panicked must not be polled again.
pub(crate) fn poll_caught<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Result<F::Output, Panicked>> {
    match caught(|| future.poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(Panicked) => Poll::Ready(Err(Panicked)),
    }
}

/// Runs a future until it ends, panics, or its deadline passes. The deadline may move while it runs.
pub(crate) async fn supervise<F: Future>(future: F, deadline: impl Fn() -> Instant) -> Result<F::Output, Stopped> {
    let mut future = pin!(Some(future));
    let mut sleep = pin!(sleep_until(deadline()));
    let ended = poll_fn(|cx| {
        let running = future.as_mut().as_pin_mut().expect("it is dropped below, and not polled again");
        if let Poll::Ready(ended) = poll_caught(running, cx) {
            return Poll::Ready(ended.map_err(|Panicked| Stopped::Panicked));
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let moved = deadline();
            if moved <= sleep.deadline() {
                return Poll::Ready(Err(Stopped::TimedOut));
            }
            sleep.as_mut().reset(moved);
        }
        Poll::Pending
    })
    .await;
    // Dropped here, so that a destructor that panics stops nothing that comes after this.
    let _ = caught(|| future.set(None));
    ended
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::{Stopped, supervise};

    #[tokio::test(start_paused = true)]
    async fn a_future_ends_panics_or_is_stopped_at_its_deadline() {
        let begin = Instant::now();
        let deadline = || begin + Duration::from_secs(10);

        assert_eq!(supervise(async { 1 }, deadline).await, Ok(1));
        assert_eq!(supervise(async { panic!("on purpose") }, deadline).await, Err::<(), _>(Stopped::Panicked));
        assert_eq!(supervise(pending::<()>(), deadline).await, Err(Stopped::TimedOut));
        assert_eq!(begin.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_may_move_while_the_future_runs() {
        let begin = Instant::now();
        let until = Cell::new(begin + Duration::from_secs(10));
        let work = async {
            sleep(Duration::from_secs(5)).await;
            until.set(begin + Duration::from_secs(60));
            sleep(Duration::from_secs(30)).await;
        };

        assert_eq!(supervise(work, || until.get()).await, Ok(()));
    }

    #[tokio::test]
    async fn a_destructor_that_panics_does_not_pass_its_panic_on() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let bomb = Bomb;
        let work = async move {
            let _bomb = bomb;
            pending::<()>().await;
        };

        let now = Instant::now();
        assert_eq!(supervise(work, || now).await, Err(Stopped::TimedOut));
    }
}
