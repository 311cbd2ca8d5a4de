use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{ids::EndpointId, lease::After};

/// Which attempts or deliveries are counted: those of all tenants, of one tenant, or of one endpoint.
///
/// ```
/// use tower_webhooks::send::{Dispatcher, Scope, SendError};
///
/// async fn waiting(webhooks: &Dispatcher) -> Result<(u32, u32), SendError> {
///     let all = webhooks.backlog(Scope::all()).await?;
///     let acme = webhooks.backlog(Scope::tenant("acme")).await?;
///     Ok((all.waiting, acme.waiting))
/// }
/// # let _ = waiting;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Scope {
    /// Those of one tenant; empty in an application without tenants. `None` for those of all tenants.
    pub tenant: Option<Arc<str>>,
    /// Those of one endpoint.
    pub endpoint: Option<EndpointId>,
}

impl Scope {
    /// Counts those of all tenants.
    pub fn all() -> Self {
        Self::default()
    }

    /// Counts those of one tenant.
    pub fn tenant(name: impl Into<Arc<str>>) -> Self {
        Self { tenant: Some(name.into()), endpoint: None }
    }

    /// Counts those of one endpoint of the tenant, or of any tenant if none is named.
    #[must_use]
    pub fn endpoint(mut self, id: EndpointId) -> Self {
        self.endpoint = Some(id);
        self
    }
}

/// How an attempt ended for its delivery, as it is counted.
///
/// The list is complete: a store must handle each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum AttemptEnd {
    /// It was delivered.
    Delivered,
    /// It failed, and was the last attempt.
    Exhausted,
    /// The endpoint answered with 410.
    Gone,
    /// The endpoint rejected it, and it is not tried again.
    Refused,
    /// It failed, and is tried again.
    Retried,
}

impl AttemptEnd {
    /// Every end.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Exhausted, Self::Gone, Self::Refused, Self::Retried];

    /// Returns how an attempt with this result is counted; `None` for one that was not made.
    pub fn of(after: After) -> Option<Self> {
        match after {
            After::Delivered => Some(Self::Delivered),
            After::Exhausted => Some(Self::Exhausted),
            After::Gone => Some(Self::Gone),
            After::Refused => Some(Self::Refused),
            After::Retry { .. } => Some(Self::Retried),
            After::Unsent { .. } => None,
        }
    }

    /// Returns the number that stores keep for this end.
    pub fn number(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Retried => 1,
            Self::Refused => 2,
            Self::Exhausted => 3,
            Self::Gone => 4,
        }
    }

    /// Returns the end with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.number() == number)
    }
}

/// The number of attempts of one hour that ended in the same way and took about equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsCell {
    /// The hour in which they ended, in whole hours since the Unix epoch.
    pub hour: u32,
    /// How they ended.
    pub end: AttemptEnd,
    /// How long they took: [`latency_bucket`].
    pub bucket: u8,
    /// How many there were.
    pub count: u64,
}

impl StatsCell {
    /// Creates a cell from its parts.
    pub fn new(hour: u32, end: AttemptEnd, bucket: u8, count: u64) -> Self {
        Self { hour, end, bucket, count }
    }
}

/// The deliveries that wait to be sent.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{Dispatcher, Scope, SendError};
///
/// /// Returns `true` if no worker takes the deliveries that are due.
/// async fn is_unserved(webhooks: &Dispatcher) -> Result<bool, SendError> {
///     Ok(webhooks.backlog(Scope::all()).await?.unserved > Duration::from_secs(300))
/// }
/// # let _ = is_unserved;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Backlog {
    /// How many deliveries are pending or being sent, counted up to [`BACKLOG_COUNTED`].
    pub waiting: u32,
    /// How long the oldest delivery has been due. Time in which its endpoint is disabled, rests, or waits for its rate
    /// does not count. Zero if nothing is due.
    pub oldest_due: Duration,
    /// How long the endpoint that has waited longest has had due deliveries without being served by a worker. A large
    /// value means that no worker runs, or that the workers have too much to do; a slow endpoint alone does not raise
    /// it.
    pub unserved: Duration,
}

impl Backlog {
    /// Creates a backlog from its parts.
    pub fn new(waiting: u32, oldest_due: Duration, unserved: Duration) -> Self {
        Self { waiting, oldest_due, unserved }
    }
}

/// The number up to which the deliveries of a backlog are counted: 10,000. Counting takes longer the more there are,
/// and a larger number says nothing more.
pub const BACKLOG_COUNTED: u32 = 10_000;

/// How many buckets of latency there are.
pub const LATENCY_BUCKETS: usize = BOUNDS.len() + 1;

/// Returns the bucket for a duration: the first one whose bound is not less.
pub fn latency_bucket(duration: Duration) -> u8 {
    let millis = duration.as_millis();
    let bucket = BOUNDS.iter().position(|bound| u128::from(*bound) >= millis).unwrap_or(BOUNDS.len());
    u8::try_from(bucket).unwrap_or(u8::MAX)
}

/// Returns the longest duration of a bucket; the last bucket has no bound, and twice that of the bucket before it is returned.
pub(crate) fn bucket_bound(bucket: usize) -> Duration {
    let millis = BOUNDS.get(bucket).copied().unwrap_or(BOUNDS[BOUNDS.len() - 1] * 2);
    Duration::from_millis(millis.into())
}

/// Returns the whole hours since the Unix epoch.
pub(crate) fn hour_of(time: SystemTime) -> u32 {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds / 3600).unwrap_or(u32::MAX)
}

/// Milliseconds, each √2 times the one before it: a percentile is then off by a fifth at most, and the attempts of an endpoint fall into
/// few buckets.
const BOUNDS: [u32; 32] = [
    1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793,
    8192, 11_585, 16_384, 23_170, 32_768, 46_341, 65_536,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        for (millis, bucket) in
            [(0, 0), (1, 0), (2, 1), (5, 4), (128, 13), (129, 14), (65_536, 31), (65_537, 32), (u64::MAX, 32)]
        {
            assert_eq!(latency_bucket(Duration::from_millis(millis)), bucket, "{millis} ms");
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn each_end_has_a_number_of_its_own() {
        for end in AttemptEnd::ALL {
            assert_eq!(AttemptEnd::from_number(end.number()), Some(end));
        }
        assert_eq!(AttemptEnd::from_number(5), None);
    }
}
