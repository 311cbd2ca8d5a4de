use std::time::Duration;

use crate::{
    clock::Millis,
    send::outbox::store::{
        lease::Finish,
        stats::{AttemptEnd, BACKLOG_COUNTED, Backlog, latency_bucket},
    },
};

/// Where an attempt is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The [`hour`].
    pub hour: u32,
    /// How the attempt ended.
    pub end: AttemptEnd,
    /// The duration, as its [`latency_bucket`].
    pub bucket: u8,
}

/// Decides where an attempt that has just ended is counted. An attempt that was not made is not counted.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{After, AttemptEnd, Finish, latency_bucket, policy::counted};
///
/// let mut finish = Finish::new(After::Delivered);
/// finish.duration = Duration::from_millis(20);
/// let counted = counted(&finish, 3 * 3_600_000 + 1).unwrap();
/// assert_eq!((counted.hour, counted.end, counted.bucket), (3, AttemptEnd::Delivered, latency_bucket(finish.duration)));
/// ```
pub fn counted(finish: &Finish, now: Millis) -> Option<Counted> {
    let end = AttemptEnd::of(finish.after)?;
    Some(Counted { hour: hour(now), end, bucket: latency_bucket(finish.duration) })
}

/// Returns the hour of a moment, in whole hours since the Unix epoch.
pub fn hour(at: Millis) -> u32 {
    u32::try_from(at.div_euclid(60 * 60 * 1000)).unwrap_or_default()
}

/// Creates a backlog from a count, the moment since which the oldest delivery could have been leased, and the moment at
/// which the endpoint that has waited longest was served last.
pub fn backlog(waiting: u64, ready: Option<Millis>, unserved: Option<Millis>, now: Millis) -> Backlog {
    let since = |at: Option<Millis>| Duration::from_millis(u64::try_from(now - at.unwrap_or(now)).unwrap_or_default());
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).min(BACKLOG_COUNTED);
    Backlog::new(waiting, since(ready), since(unserved))
}
