use std::time::Duration;

/// How many deliveries of one endpoint are leased at once, over all workers.
pub const IN_FLIGHT: u32 = 4;

/// How much faster than it arises an endpoint's backlog is worked off: 1.9 times its steady rate, which is the mean of its first
/// attempts over ten minutes or so in which nothing failed, and then of what was dispatched for it, and at least 10 a second.
/// Twice the rate is what a receiver must be able to take; the rest of it is for what crosses the edges of a window.
///
/// An endpoint that gets more than it ever did before is caught up with all the same: the rate grows with what is dispatched,
/// as its deliveries come to be leased. What is resent or recovered makes nothing faster.
pub const CATCH_UP: f64 = 1.9;

/// An endpoint whose last attempt took no longer than this is proven, unless it was slow within [`SLOW_FOR`]: it holds up no worker.
pub const PROVEN_WITHIN: Duration = Duration::from_secs(2);

/// How long an endpoint that was slow is not proven, however quick it is meanwhile: 10 minutes. If one quick answer were enough, many
/// endpoints that are slow most of the time would take all places of a worker again and again.
pub const SLOW_FOR: Duration = Duration::from_secs(10 * 60);

/// From how many failures in a row on an endpoint rests. Attempts that were in flight together count as one: an endpoint that is down for
/// a moment fails all that it has at once.
pub const FAILURES_TO_REST: u32 = 5;

/// How many failures an endpoint has at least before it is disabled for failing, each a tenth of
/// [`disable_after`](crate::send::Finish::disable_after) or more after the one before: two bad minutes are not days of failure, however far apart they
/// are.
pub const FAILURES_TO_DISABLE: u32 = 5;

/// How long an endpoint rests at most because it asked for it: 1 hour. A delivery waits for as long as its own answer said.
pub const LONGEST_ASKED_REST: Duration = Duration::from_secs(60 * 60);

/// The longest lease: 10 minutes. One that ends later began before a clock was set back.
pub const LONGEST_LEASE: Duration = Duration::from_secs(10 * 60);

/// How long an endpoint rests that has failed so often in a row: 10 s at first, doubled with each failure, 5 min at most.
pub fn rest_after(failures: u32) -> Duration {
    match failures.checked_sub(FAILURES_TO_REST) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs((10_u64 << more.min(5)).min(300)),
    }
}

/// How long an endpoint may fail without a success: 5 days.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
