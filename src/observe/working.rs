use std::{fmt, time::Duration};

use super::{inbox_meter, meter::Timer, outcome::Outcome, spans::WorkSpan};
use crate::delivery::Delivery;

/// Measures one event of an inbox while its handler handles it: its span and its time. What is dropped before it has ended was
/// cancelled, or panicked.
pub(crate) struct Working {
    span: WorkSpan,
    provider: String,
    timer: Timer,
    ended: bool,
}

impl Working {
    pub(crate) fn begin(delivery: &Delivery, id: &dyn fmt::Display, attempt: u32) -> Self {
        Self {
            span: WorkSpan::new(delivery, id, attempt),
            provider: delivery.provider().to_owned(),
            timer: Timer::start(),
            ended: false,
        }
    }

    /// Works at it inside its span, which is entered only while the work is polled.
    pub(crate) fn inside<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.span.instrument(work)
    }

    /// The handler has ended. `reason` says why the event is not done, `age` how long ago it was accepted when it was leased.
    pub(crate) fn end(mut self, outcome: Outcome, reason: Option<&str>, is_dead: bool, age: Duration) {
        self.span.ended(outcome, reason, is_dead);
        self.count(outcome.as_str());
        if outcome == Outcome::Done {
            inbox_meter::age(&self.provider, age);
        }
        if is_dead {
            inbox_meter::died(&self.provider);
        }
    }

    /// The worker has stopped before its handler had ended.
    pub(crate) fn returned(mut self) {
        self.span.ended(Outcome::Cancelled, None, false);
        self.count(Outcome::Cancelled.as_str());
    }

    fn count(&mut self, outcome: &'static str) {
        self.ended = true;
        inbox_meter::worked(&self.provider, outcome, &self.timer);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = if std::thread::panicking() { Outcome::Panicked } else { Outcome::Cancelled };
            self.span.ended(outcome, None, false);
            self.count(outcome.as_str());
        }
    }
}
