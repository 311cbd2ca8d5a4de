//! Records the backlog once a minute, next to a worker's attempts. One of all workers does it.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use crate::{
    observe,
    queue::full_jitter,
    send::{
        error::SendError,
        outbox::{
            dispatcher::Dispatcher,
            shared::Shared,
            stats,
            store::history::{BacklogSample, SampleStep},
        },
    },
};

/// Takes samples while it is polled.
pub(crate) async fn run(shared: &Shared) {
    // Processes that start together must not ask the store at the same time. At least one asks in each minute.
    let jitter = |of| full_jitter(of, getrandom::u64().unwrap_or(u64::MAX / 2));
    tokio::time::sleep(jitter(FIRST)).await;
    loop {
        if let Err(error) = shared.store.sample_backlog().await {
            observe::outbox_failed("sample", &error);
        }
        tokio::time::sleep(EVERY - jitter(EVERY / 4)).await;
    }
}

/// The longest time from a worker's start to its first sample.
const FIRST: Duration = Duration::from_secs(5);

/// More often than once a minute, so that no minute is left out.
const EVERY: Duration = Duration::from_secs(50);

impl Dispatcher {
    /// Returns the backlog of all tenants together over a span of time: a sample for each step in which a worker ran.
    /// Workers take one sample a minute; the sample of a longer step has the highest values of its minutes.
    /// [`SampleStep::kept`] returns how long the samples of a step are kept.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) if the span ends before it begins or is longer than 92 days; and as the store fails.
    pub async fn backlog_history(
        &self,
        step: SampleStep,
        span: Range<SystemTime>,
    ) -> Result<Vec<BacklogSample>, SendError> {
        stats::hours(&span)?;
        Ok(self.shared.store.backlog_samples(step, span.start, span.end).await?)
    }
}
