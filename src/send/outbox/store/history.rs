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
/// assert_eq!(SampleStep::TwoHours.start_of(7_200_000 + 5), 7_200_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum SampleStep {
    /// A day, in UTC. It is kept for 92 days, as far back as statistics can be asked for.
    Day,
    /// A minute. It is kept for 2 hours.
    Minute,
    /// A quarter of an hour. It is kept for 26 hours.
    Quarter,
    /// Two hours, from an even one in UTC. They are kept for 8 days.
    TwoHours,
}

impl SampleStep {
    /// Each step.
    pub const ALL: [Self; 4] = [Self::Day, Self::Minute, Self::Quarter, Self::TwoHours];

    /// Returns the number that stores keep for this step.
    pub fn number(self) -> u8 {
        match self {
            Self::Minute => 0,
            Self::Quarter => 1,
            Self::TwoHours => 2,
            Self::Day => 3,
        }
    }

    /// Returns the length of the span.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Day => 24 * 60 * 60,
            Self::Minute => 60,
            Self::Quarter => 15 * 60,
            Self::TwoHours => 2 * 60 * 60,
        })
    }

    /// Returns how long its samples are kept: a little longer than what they are looked at for.
    pub fn kept(self) -> Duration {
        const HOUR: u64 = 60 * 60;
        Duration::from_secs(match self {
            Self::Day => 92 * 24 * HOUR,
            Self::Minute => 2 * HOUR,
            Self::Quarter => 26 * HOUR,
            Self::TwoHours => 8 * 24 * HOUR,
        })
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

/// The backlog of a minute, a quarter of an hour, two hours or a day: the highest values in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BacklogSample {
    /// The start of the step.
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
    fn a_step_begins_at_a_whole_one() {
        assert_eq!(SampleStep::Minute.start_of(119_999), 60_000);
        assert_eq!(SampleStep::TwoHours.start_of(3 * 3_600_000), 2 * 3_600_000);
        assert_eq!(SampleStep::Minute.start_of(-1), -60_000);
        assert_eq!(SampleStep::Quarter.kept_since(0), -26 * 3_600_000);
        assert_eq!(SampleStep::Day.start_of(86_400_000 * 3 + 5), 86_400_000 * 3);
    }
}
