//! The counters of sending. An attempt uses the network, so creating a key for each count is cheap in comparison.

use std::time::Duration;

use metrics::Gauge;

/// One attempt in the gauge of attempts in flight.
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn enter() -> Self {
        let gauge = metrics::gauge!("webhook_attempts_in_flight");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The recorder from the beginning, even if another was installed since.
        self.0.decrement(1.0);
    }
}

/// An attempt ended.
pub(crate) fn attempt(outcome: &'static str, reason: Option<&'static str>) {
    let reason = reason.unwrap_or("none");
    metrics::counter!("webhook_attempts_total", "outcome" => outcome, "reason" => reason).increment(1);
}

/// The duration of an attempt.
pub(crate) fn attempt_seconds(outcome: &'static str, duration: Duration) {
    metrics::histogram!("webhook_attempt_seconds", "outcome" => outcome).record(duration.as_secs_f64());
}

/// A delivery ended or is held.
pub(crate) fn delivery(state: &'static str) {
    metrics::counter!("webhook_deliveries_total", "state" => state).increment(1);
}

/// The time between the creation and the success of a delivery.
pub(crate) fn delivery_seconds(age: Duration) {
    metrics::histogram!("webhook_delivery_seconds").record(age.as_secs_f64());
}

/// A new message was stored, with its deliveries.
pub(crate) fn dispatched(deliveries: u32) {
    metrics::counter!("webhook_dispatched_total").increment(1);
    metrics::counter!("webhook_dispatched_deliveries_total").increment(deliveries.into());
}

/// An endpoint was disabled.
pub(crate) fn endpoint_disabled(reason: &'static str) {
    metrics::counter!("webhook_endpoints_disabled_total", "reason" => reason).increment(1);
}

/// The purge changed or removed this many rows.
pub(crate) fn purged(rows: u64) {
    metrics::counter!("webhook_outbox_purged_rows_total").increment(rows);
}

/// There has been more to purge than was purged since this time.
pub(crate) fn purge_behind(since: Duration) {
    metrics::gauge!("webhook_outbox_purge_behind_seconds").set(since.as_secs_f64());
}

/// A call of a worker to the outbox failed.
pub(crate) fn outbox_failed(call: &'static str) {
    metrics::counter!("webhook_outbox_failures_total", "call" => call).increment(1);
}
