/// How a delivery ended: the vocabulary of spans and metrics. A part that knows the outcome more exactly than the
/// status puts it into the extensions of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // Only some features use it.
pub(crate) enum Outcome {
    /// The client disconnected, and the handler was dropped.
    Cancelled,
    /// The handler discarded the event.
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
    /// No handler wants the event type.
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
