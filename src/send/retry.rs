use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::send::attempt::Outcome;

/// When a failed delivery is tried again, and when it is given up. It is a pure function: time and randomness are arguments.
///
/// | | waits between attempts | another 4xx |
/// |---|---|---|
/// | [`standard`](Self::standard) | 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h | is tried again |
/// | [`short`](Self::short) | 1 s, 5 s, 30 s | is final |
///
/// Each wait is up to a fifth shorter or longer, so that deliveries that failed together do not come back together. A
/// `Retry-After` makes it longer, up to 24 h, and never shorter.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::send::{NextStep, Outcome, RetryPolicy};
///
/// let now = SystemTime::UNIX_EPOCH;
/// let failed = Outcome::Failed { retry_after: None };
///
/// // The first attempt failed. The middle of all random numbers means no jitter.
/// let NextStep::Retry { at } = RetryPolicy::standard().next_step(failed, 1, now, u64::MAX / 2) else { panic!() };
/// assert_eq!(at.duration_since(now)?.as_secs_f64().round(), 5.0);
///
/// assert_eq!(RetryPolicy::standard().next_step(failed, 10, now, 0), NextStep::Exhausted);
/// assert_eq!(RetryPolicy::standard().next_step(Outcome::Delivered, 1, now, 0), NextStep::Delivered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    waits: Arc<[Duration]>,
    rejection_is_final: bool,
}

/// What happens to a delivery after an attempt.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::send::{NextStep, Outcome, RetryPolicy};
///
/// let hourly = RetryPolicy::custom([Duration::from_secs(3600); 5]).final_on_rejection();
/// let next = |outcome| hourly.next_step(outcome, 1, SystemTime::UNIX_EPOCH, 0);
///
/// assert!(matches!(next(Outcome::Failed { retry_after: None }), NextStep::Retry { .. }));
/// assert_eq!(next(Outcome::Rejected { retry_after: None }), NextStep::Refused);
/// assert_eq!(next(Outcome::Gone), NextStep::Disable);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// It was delivered.
    Delivered,
    /// The endpoint is gone (410). It is disabled, and gets nothing more.
    Disable,
    /// It failed, and was the last attempt.
    Exhausted,
    /// The endpoint rejected it, and the policy does not try again.
    Refused,
    /// It is tried again.
    Retry {
        /// The earliest time of the next attempt.
        at: SystemTime,
    },
}

impl RetryPolicy {
    /// The longest wait that a `Retry-After` can ask for.
    pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

    /// Returns the policy for a durable queue: ten attempts over about three days, as Standard Webhooks advises. A receiver that
    /// answers 401 or 404 may have made a mistake in a deployment, so other 4xx are tried again as well.
    pub fn standard() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self::custom(
            [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
                .map(Duration::from_secs),
        )
    }

    /// Returns the policy for a process that waits for the result: four attempts within about 40 seconds.
    pub fn short() -> Self {
        Self::custom([1, 5, 30].map(Duration::from_secs)).final_on_rejection()
    }

    /// Creates a policy from the waits between attempts. There is one attempt more than there are waits.
    pub fn custom(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self { waits: waits.into_iter().collect(), rejection_is_final: false }
    }

    /// Ends the attempts after a 4xx other than 408, 409, 425 and 429, and for a destination that is not allowed.
    #[must_use]
    pub fn final_on_rejection(mut self) -> Self {
        self.rejection_is_final = true;
        self
    }

    /// Returns the maximum number of attempts of a delivery.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Decides what happens to a delivery whose attempt number `attempt`, counted from 1, had this outcome. `random` is a
    /// uniformly distributed random number.
    pub fn next_step(&self, outcome: Outcome, attempt: u32, now: SystemTime, random: u64) -> NextStep {
        let retry_after = match outcome {
            Outcome::Delivered => return NextStep::Delivered,
            Outcome::Gone => return NextStep::Disable,
            Outcome::Rejected { .. } if self.rejection_is_final => return NextStep::Refused,
            Outcome::Failed { retry_after } | Outcome::Rejected { retry_after } => retry_after,
        };
        let wait = usize::try_from(attempt.saturating_sub(1)).ok().and_then(|index| self.waits.get(index));
        let Some(wait) = wait else { return NextStep::Exhausted };
        let floor = retry_after.unwrap_or_default().min(Self::LONGEST_RETRY_AFTER);
        let wait = jittered(*wait, random).max(floor);
        // A wait beyond the end of time is cut to a day.
        let at = now.checked_add(wait).or_else(|| now.checked_add(Self::LONGEST_RETRY_AFTER));
        NextStep::Retry { at: at.unwrap_or(now) }
    }
}

impl Default for RetryPolicy {
    /// [`standard`](Self::standard).
    fn default() -> Self {
        Self::standard()
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("waits", &self.waits)
            .field("rejection_is_final", &self.rejection_is_final)
            .finish()
    }
}

/// A wait that is up to a fifth shorter or longer.
fn jittered(wait: Duration, random: u64) -> Duration {
    // From 0.8 to 1.2; a `Duration` that is too long for the product stays as it is.
    let factor = 0.8 + 0.4 * (random as f64 / u64::MAX as f64);
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::{NextStep, RetryPolicy};
    use crate::send::attempt::Outcome;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const FAILED: Outcome = Outcome::Failed { retry_after: None };
    const REJECTED: Outcome = Outcome::Rejected { retry_after: None };

    fn wait(step: NextStep) -> Duration {
        let NextStep::Retry { at } = step else { panic!("{step:?}") };
        at.duration_since(NOW).unwrap()
    }

    #[test]
    fn the_schedules_are_as_documented() {
        let standard = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400];
        for (policy, seconds) in [(RetryPolicy::standard(), &standard[..]), (RetryPolicy::short(), &[1, 5, 30])] {
            for (attempt, seconds) in (1..).zip(seconds) {
                let least = wait(policy.next_step(FAILED, attempt, NOW, 0)).as_secs_f64();
                let most = wait(policy.next_step(FAILED, attempt, NOW, u64::MAX)).as_secs_f64();
                let seconds = f64::from(*seconds);
                assert!((least - 0.8 * seconds).abs() < 1e-6, "{attempt}");
                assert!((most - 1.2 * seconds).abs() < 1e-6, "{attempt}");
            }
            assert_eq!(policy.attempts() as usize, seconds.len() + 1);
            for attempt in [policy.attempts(), policy.attempts() + 1, u32::MAX] {
                assert_eq!(policy.next_step(FAILED, attempt, NOW, 0), NextStep::Exhausted);
            }
        }
    }

    #[test]
    fn a_rejection_is_final_by_policy() {
        assert_eq!(RetryPolicy::short().next_step(REJECTED, 1, NOW, 0), NextStep::Refused);
        assert!(matches!(RetryPolicy::standard().next_step(REJECTED, 1, NOW, 0), NextStep::Retry { .. }));
        for policy in [RetryPolicy::short(), RetryPolicy::standard()] {
            assert_eq!(policy.next_step(Outcome::Gone, 1, NOW, 0), NextStep::Disable);
            assert_eq!(policy.next_step(Outcome::Delivered, 99, NOW, 0), NextStep::Delivered);
        }
    }

    proptest! {
        #[test]
        fn retry_after_is_a_floor_of_at_most_a_day(
            seconds in any::<u64>(), wait_seconds in any::<u64>(), attempt in 0..4_u32, random in any::<u64>()
        ) {
            let policy = RetryPolicy::custom([Duration::from_secs(wait_seconds % 200_000), Duration::MAX]);
            let plain = policy.next_step(FAILED, attempt, NOW, random);
            let asked = Outcome::Failed { retry_after: Some(Duration::from_secs(seconds)) };
            let asked = policy.next_step(asked, attempt, NOW, random);

            if attempt <= 1 {
                let floor = Duration::from_secs(seconds).min(Duration::from_secs(86400));
                prop_assert_eq!(wait(asked), wait(plain).max(floor));
            } else {
                prop_assert_eq!(asked, plain);
            }
        }
    }
}
