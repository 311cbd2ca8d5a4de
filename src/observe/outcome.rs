/// How a delivery ended: the vocabulary of spans and metrics. A part that knows better than the status says so in the
/// response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // Which features need it is not this leaf's business.
pub(crate) enum Outcome {
    /// The client has gone, and the handler with it.
    Cancelled,
    /// The handler has given the event up for good.
    Discarded,
    /// The handler answered with 2xx.
    Done,
    /// A duplicate of a delivery that is done.
    Duplicate,
    /// The handler answered with 5xx, or its service failed.
    Failed,
    /// A duplicate of a delivery that is being handled.
    InFlight,
    /// The handler panicked.
    Panicked,
    /// The handler, or an extractor, answered with anything else.
    Rejected,
    /// The handler was stopped at its timeout.
    TimedOut,
    /// Nobody handles the event type.
    Unhandled,
}

#[allow(dead_code)] // As above.
impl Outcome {
    pub(crate) const COUNT: usize = 10;

    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            500.. => Self::Failed,
            _ => Self::Rejected,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Done => "done",
            Self::Duplicate => "duplicate",
            Self::Failed => "failed",
            Self::InFlight => "in_flight",
            Self::Panicked => "panicked",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Unhandled => "unhandled",
        }
    }
}
