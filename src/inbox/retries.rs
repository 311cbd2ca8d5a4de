use std::time::Duration;

use crate::queue::full_jitter;

/// When, and how often, a failed event is retried.
///
/// A wait is random, between 0 and a bound that doubles with each attempt (full jitter), so that events that failed
/// together are not retried together.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::inbox::InboxRetries;
///
/// let retries = InboxRetries::default();
/// assert_eq!(retries.bound(1), Some(Duration::from_secs(5)));
/// assert_eq!(retries.bound(4), Some(Duration::from_secs(40)));
/// assert_eq!(retries.bound(11), Some(Duration::from_secs(3600)));
/// assert_eq!(retries.bound(12), None, "the last attempt has failed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxRetries {
    attempts: u32,
    first: Duration,
    longest: Duration,
}

impl InboxRetries {
    /// Creates retries with this many attempts, at least 1.
    pub fn new(attempts: u32) -> Self {
        Self { attempts: attempts.max(1), ..Self::default() }
    }

    /// Sets the bound of the first wait and of all waits.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first.min(longest), longest);
        self
    }

    /// Returns the number of attempts.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the longest wait after this attempt, counted from 1. Returns `None` if it was the last one.
    pub fn bound(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = attempt.saturating_sub(1).min(31);
        Some(self.first.saturating_mul(1 << doubled).min(self.longest))
    }

    /// Draws the wait after this attempt. `random` is any number, each equally likely.
    pub(crate) fn wait(&self, attempt: u32, random: u64) -> Option<Duration> {
        self.bound(attempt).map(|bound| full_jitter(bound, random))
    }
}

impl Default for InboxRetries {
    /// 12 attempts, with waits of at most 5 s, 10 s, 20 s … 1 h.
    fn default() -> Self {
        Self { attempts: 12, first: Duration::from_secs(5), longest: Duration::from_secs(60 * 60) }
    }
}
