use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

/// The maximum number of attempts of an endpoint in a second or in a minute, over all workers.
///
/// They are spread evenly: ten a second is one every 100 ms, not ten at once. What exceeds the rate waits, in order.
///
/// ```
/// use tower_webhooks::send::RateLimit;
///
/// assert_eq!(RateLimit::per_second(10)?, "10/s".parse()?);
/// assert_eq!(RateLimit::per_minute(90)?.to_string(), "90/min");
///
/// assert!(RateLimit::per_second(0).is_err()); // to send nothing, disable the endpoint
/// # Ok::<(), tower_webhooks::send::RateLimitError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    count: NonZeroU32,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Per {
    Minute,
    Second,
}

impl RateLimit {
    /// Creates a limit for a second.
    ///
    /// # Errors
    /// When the count is 0.
    pub fn per_second(count: u32) -> Result<Self, RateLimitError> {
        Self::new(count, Per::Second)
    }

    /// Creates a limit for a minute.
    ///
    /// # Errors
    /// When the count is 0.
    pub fn per_minute(count: u32) -> Result<Self, RateLimitError> {
        Self::new(count, Per::Minute)
    }

    fn new(count: u32, per: Per) -> Result<Self, RateLimitError> {
        NonZeroU32::new(count).map(|count| Self { count, per }).ok_or(RateLimitError(()))
    }

    /// Returns the time between two attempts.
    pub fn interval(self) -> Duration {
        self.window() / self.count.get()
    }

    /// The span of time that the count is for.
    pub(crate) fn window(self) -> Duration {
        match self.per {
            Per::Minute => Duration::from_secs(60),
            Per::Second => Duration::from_secs(1),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per {
            Per::Minute => write!(f, "{}/min", self.count),
            Per::Second => write!(f, "{}/s", self.count),
        }
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let (count, per) = match text.split_once('/') {
            Some((count, "min")) => (count, Per::Minute),
            Some((count, "s")) => (count, Per::Second),
            _ => return Err(RateLimitError(())),
        };
        // `parse` takes a sign as well.
        let count = Some(count).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
        Self::new(count.and_then(|count| count.parse().ok()).unwrap_or_default(), per)
    }
}

/// A text or a number is not a rate limit.
///
/// ```
/// use tower_webhooks::send::RateLimit;
///
/// assert!("10/h".parse::<RateLimit>().is_err());
/// ```
#[derive(Debug, Clone)]
pub struct RateLimitError(());

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate limit is a count of 1 or more in a second or a minute, such as `10/s` or `90/min`")
    }
}

impl std::error::Error for RateLimitError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RateLimit;

    #[test]
    fn a_limit_is_read_as_it_is_written() {
        for limit in [RateLimit::per_second(1), RateLimit::per_second(u32::MAX), RateLimit::per_minute(90)] {
            let limit = limit.unwrap();
            assert_eq!(limit.to_string().parse::<RateLimit>().unwrap(), limit);
        }
        for text in ["", "10", "/s", "0/s", "-1/s", "+1/s", "1/h", "1 /s", "4294967296/s", "1/s/s"] {
            assert!(text.parse::<RateLimit>().is_err(), "{text}");
        }
        assert_eq!(RateLimit::per_minute(90).unwrap().interval(), Duration::from_secs(60) / 90);
    }
}
