use http::Response;

use super::{
    meter::{Meter, Timer},
    outcome::Outcome,
    spans::{Entered, HandleSpan, ReceiveSpan},
};
use crate::delivery::Delivery;

/// One delivery in the hands of the inner service: its span and its time. What is dropped before it has ended was cancelled,
/// or panicked.
pub(crate) struct Handling {
    span: HandleSpan,
    meter: Meter,
    timer: Timer,
    ended: bool,
}

impl Handling {
    pub(crate) fn begin(meter: &Meter, delivery: &Delivery) -> Self {
        meter.verified(delivery.secret_index());
        Self { span: HandleSpan::new(delivery), meter: meter.clone(), timer: Timer::start(), ended: false }
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }

    /// It ended with a response, which `span` is told of as well.
    pub(crate) fn respond<R>(&mut self, span: &ReceiveSpan, response: &Response<R>) {
        let status = response.status().as_u16();
        // A part inside may know better than its status says.
        let outcome = response.extensions().get().copied().unwrap_or_else(|| Outcome::of_status(status));
        self.end(outcome, Some(status));
        span.verified(status);
    }

    /// It ended, with a response of this status, or with an error of the service's.
    pub(crate) fn end(&mut self, outcome: Outcome, status: Option<u16>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.span.record(outcome, status);
            self.meter.handled(outcome, &self.timer);
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { Outcome::Panicked } else { Outcome::Cancelled }, None);
    }
}
