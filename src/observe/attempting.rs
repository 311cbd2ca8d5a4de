use std::{fmt, time::Duration};

use super::{
    send_meter::{self, InFlight},
    spans::AttemptSpan,
};

/// The facts about an attempt that are known before it is made.
#[allow(dead_code)] // Only read with the feature `tracing`.
pub(crate) struct AttemptHead<'a> {
    pub(crate) message: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) host: &'a str,
    /// From 1.
    pub(crate) attempt: u32,
    /// The delivery and the endpoint, in an outbox.
    pub(crate) delivery: Option<&'a dyn fmt::Display>,
    pub(crate) endpoint: Option<&'a dyn fmt::Display>,
}

/// How an attempt ended.
#[derive(Clone, Copy)]
#[allow(dead_code)] // As above.
pub(crate) struct AttemptEnd<'a> {
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) refused: bool,
    /// Whether the egress proxy refused the connection or failed.
    pub(crate) kept_in: bool,
    pub(crate) cause: Option<&'a (dyn std::error::Error + 'static)>,
    pub(crate) duration: Duration,
}

/// One attempt in flight: its span, and its place in the gauge of attempts in flight. If it is dropped before it has
/// ended, the attempt was cancelled or panicked.
pub(crate) struct Attempting {
    span: AttemptSpan,
    ended: bool,
    _in_flight: InFlight,
}

impl Attempting {
    pub(crate) fn begin(head: &AttemptHead<'_>) -> Self {
        Self { span: AttemptSpan::new(head), ended: false, _in_flight: InFlight::enter() }
    }

    /// Runs `work` inside of the span, which is entered only while the work is polled.
    pub(crate) fn inside<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.span.instrument(work)
    }

    pub(crate) fn end(mut self, end: &AttemptEnd<'_>) {
        self.ended = true;
        self.span.ended(end);
        if end.reason.is_some() {
            self.span.failed(end);
        }
        send_meter::attempt(end.outcome, end.reason);
        send_meter::attempt_seconds(end.outcome, end.duration);
    }
}

impl Drop for Attempting {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = if std::thread::panicking() { "panicked" } else { "cancelled" };
            self.span.dropped(outcome);
            send_meter::attempt(outcome, None);
        }
    }
}
