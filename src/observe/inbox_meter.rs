//! The counters of an inbox. Each count follows a commit of the store, so the cost of a new key for each does not
//! matter.

use std::time::Duration;

use super::{inbox_depth::InboxDepth, meter::Timer};

/// An event came, and the store has answered.
pub(crate) fn accepted(provider: &str, answer: &'static str) {
    metrics::counter!("webhook_inbox_accepted_total", "provider" => provider.to_owned(), "answer" => answer)
        .increment(1);
}

/// A handler has ended.
pub(crate) fn worked(provider: &str, outcome: &'static str, timer: &Timer) {
    let provider = provider.to_owned();
    metrics::counter!("webhook_inbox_worked_total", "provider" => provider.clone(), "outcome" => outcome).increment(1);
    metrics::histogram!("webhook_inbox_handler_seconds", "provider" => provider, "outcome" => outcome)
        .record(timer.elapsed().as_secs_f64());
}

/// How long an event had waited that is now done.
pub(crate) fn age(provider: &str, age: Duration) {
    metrics::histogram!("webhook_inbox_wait_seconds", "provider" => provider.to_owned()).record(age.as_secs_f64());
}

/// An event is dead.
pub(crate) fn died(provider: &str) {
    metrics::counter!("webhook_inbox_dead_total", "provider" => provider.to_owned()).increment(1);
}

/// What there is.
pub(crate) fn depth(consumer: &str, depth: &InboxDepth) {
    let InboxDepth { pending, working, dead, oldest } = *depth;
    for (state, count) in [("pending", pending), ("working", working), ("dead", dead)] {
        metrics::gauge!("webhook_inbox_events", "consumer" => consumer.to_owned(), "state" => state).set(count as f64);
    }
    metrics::gauge!("webhook_inbox_oldest_seconds", "consumer" => consumer.to_owned()).set(oldest.as_secs_f64());
}

/// Purge changed or removed so many rows.
pub(crate) fn purged(rows: u64) {
    metrics::counter!("webhook_inbox_purged_rows_total").increment(rows);
}

/// The store failed.
pub(crate) fn failed(call: &'static str) {
    metrics::counter!("webhook_inbox_failures_total", "call" => call).increment(1);
}
