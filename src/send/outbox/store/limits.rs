use std::time::Duration;

/// The maximum number of deliveries of one endpoint that are leased at once, over all workers.
pub const IN_FLIGHT: u32 = 4;

/// How fast a backlog is worked off: at 1.9 times the endpoint's steady rate, and at least 10 a second. The steady rate is the mean
/// of its first attempts over about ten minutes in which nothing failed, and later of what was dispatched for it. Receivers
/// must be able to take twice their usual rate; the remaining tenth is for what crosses the edges of a window.
///
/// An endpoint that gets more than ever before is caught up with as well: the rate grows with what is dispatched, when those
/// deliveries are leased. What is resent or recovered does not make it faster.
pub const CATCH_UP: f64 = 1.9;

/// An endpoint is proven if its last attempt took no longer than this, and it was not slow within [`SLOW_FOR`]. It does not delay a
/// worker.
pub const PROVEN_WITHIN: Duration = Duration::from_secs(2);

/// How long an endpoint that was slow is not proven, even if it is quick in the meantime: 10 minutes. If one quick answer were
/// enough, endpoints that are slow most of the time could take all places of a worker again and again.
pub const SLOW_FOR: Duration = Duration::from_secs(10 * 60);

/// The number of failures in a row from which an endpoint rests. Attempts that were in flight together count as one, since an
/// endpoint that is down for a moment fails all of them.
pub const FAILURES_TO_REST: u32 = 5;

/// The minimum number of failures before an endpoint is disabled for failing, each at least a tenth of
/// [`disable_after`](crate::send::Finish::disable_after) after the one before. So two bad minutes do not count as days of failure,
/// however far apart they are.
pub const FAILURES_TO_DISABLE: u32 = 5;

/// The longest rest that an endpoint can ask for: 1 hour. A single delivery waits for as long as its own answer asked for.
pub const LONGEST_ASKED_REST: Duration = Duration::from_secs(60 * 60);

/// The longest lease: 10 minutes. A lease that ends later than that was begun before the clock was set back.
pub const LONGEST_LEASE: Duration = Duration::from_secs(10 * 60);

/// Returns how long an endpoint rests after this number of failures in a row: 10 s at first, doubled with each failure, at most
/// 5 min.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{FAILURES_TO_REST, rest_after};
///
/// assert_eq!(rest_after(FAILURES_TO_REST - 1), Duration::ZERO);
/// assert_eq!(rest_after(FAILURES_TO_REST + 1), Duration::from_secs(20));
/// ```
pub fn rest_after(failures: u32) -> Duration {
    match failures.checked_sub(FAILURES_TO_REST) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs((10_u64 << more.min(5)).min(300)),
    }
}

/// How long an endpoint may fail without a success before it is disabled: 5 days.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
