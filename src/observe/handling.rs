use http::Response;

use super::{
    meter::{Meter, Timer},
    outcome::Outcome,
    spans::{Entered, HandleSpan, ReceiveSpan},
};
use crate::delivery::Delivery;

/// One delivery that the inner service handles: its span and its time. If it is dropped before it has ended, it was
/// cancelled or panicked.
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

    /// The delivery ended with a response, whose status `span` records as well.
    pub(crate) fn respond<R>(&mut self, span: &ReceiveSpan, response: &Response<R>) {
        let status = response.status().as_u16();
        // An inner part may have set a more exact outcome than the status.
        let outcome = response.extensions().get().copied().unwrap_or_else(|| Outcome::of_status(status));
        self.end(outcome, Some(status));
        span.verified(status);
    }

    /// The delivery ended, with a response of this status, or with an error of the service.
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
