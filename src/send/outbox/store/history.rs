use std::time::{Duration, SystemTime};

use super::stats::Backlog;
use crate::clock::Millis;

/// The span of time that a sample of a backlog covers.
///
/// The list is complete: a store must handle each.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::SampleStep;
///
/// assert_eq!(SampleStep::Minute.length(), Duration::from_secs(60));
/// assert_eq!(SampleStep::Hour.start_of(2 * 3_600_000 + 5), 2 * 3_600_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum SampleStep {
    /// An hour. It is kept for 92 days, as long as statistics.
    Hour,
    /// A minute. It is kept for 26 hours: a day, and some time for a page that was loaded earlier.
    Minute,
}

impl SampleStep {
    /// Each step.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Minute];

    /// Returns the number that stores keep for this step.
    pub fn number(self) -> u8 {
        match self {
            Self::Minute => 0,
            Self::Hour => 1,
        }
    }

    /// Returns the length of the span.
    pub fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(60 * 60),
            Self::Minute => Duration::from_secs(60),
        }
    }

    /// Returns how long its samples are kept.
    pub fn kept(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(92 * 24 * 60 * 60),
            Self::Minute => Duration::from_secs(26 * 60 * 60),
        }
    }

    /// Returns the start of the step that contains a moment.
    pub fn start_of(self, at: Millis) -> Millis {
        let length = Millis::try_from(self.length().as_millis()).unwrap_or(Millis::MAX);
        at - at.rem_euclid(length)
    }

    /// Returns the start of the oldest samples that are kept.
    pub fn kept_since(self, now: Millis) -> Millis {
        crate::clock::before(now, self.kept())
    }
}

/// The backlog of a minute or an hour: the highest values in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BacklogSample {
    /// The start of the minute or hour.
    pub start: SystemTime,
    /// The backlog of all tenants.
    pub backlog: Backlog,
}

impl BacklogSample {
    /// Creates a sample from its parts.
    pub fn new(start: SystemTime, backlog: Backlog) -> Self {
        Self { start, backlog }
    }
}

#[cfg(test)]
mod tests {
    use super::SampleStep;

    #[test]
    fn a_step_begins_at_a_whole_minute_or_hour() {
        assert_eq!(SampleStep::Minute.start_of(119_999), 60_000);
        assert_eq!(SampleStep::Hour.start_of(3_600_000), 3_600_000);
        assert_eq!(SampleStep::Minute.start_of(-1), -60_000);
        assert_eq!(SampleStep::Minute.kept_since(0), -26 * 3_600_000);
    }
}
