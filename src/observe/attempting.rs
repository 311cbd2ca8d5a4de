use super::{
    attempt::{AttemptEnd, AttemptHead},
    send_meter::{self, InFlight},
    spans::AttemptSpan,
};

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
