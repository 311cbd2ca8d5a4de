//! Notes once a minute what waits, beside a worker's attempts: one of all workers does it.

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

/// Samples for as long as it is polled.
pub(crate) async fn run(shared: &Shared) {
    // Processes that were started together must not ask together. At least one asks in each minute.
    let jitter = |of| full_jitter(of, getrandom::u64().unwrap_or(u64::MAX / 2));
    tokio::time::sleep(jitter(FIRST)).await;
    loop {
        if let Err(error) = shared.store.sample_backlog().await {
            observe::outbox_failed("sample", &error);
        }
        tokio::time::sleep(EVERY - jitter(EVERY / 4)).await;
    }
}

/// How long after its start a worker samples at the latest.
const FIRST: Duration = Duration::from_secs(5);

/// More often than once a minute, so that no minute is left out.
const EVERY: Duration = Duration::from_secs(50);

impl Dispatcher {
    /// Reads what waited over a span of time, of all tenants together: a sample for each step in which a worker ran. Workers note one a
    /// minute; a longer step has the most of its minutes. [`SampleStep::kept`] is how long each is there.
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
