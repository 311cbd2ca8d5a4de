//! What becomes of deliveries and endpoints, as pure functions that the stores of the outbox share. Times are milliseconds
//! of the store's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::record::{Millis, after};
use crate::{
    clock::millis,
    pattern::{self, Subject},
    send::{
        After, CATCH_UP, DeliveryRecord, DeliveryState, DisabledReason, FAILURES_TO_REST, Fault, Finish, IN_FLIGHT,
        LeaseRequest, Message, PROVEN_WITHIN, RateLimit, rest_after,
    },
};

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Health {
    pub(super) failures: u32,
    pub(super) failing_since: Option<Millis>,
    pub(super) rests_until: Millis,
    /// Whether the last attempt was quick.
    pub(super) proven: bool,
    pub(super) pace: Pace,
}

/// How fast an endpoint's deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Pace {
    /// First attempts a second while nothing fails, and otherwise dispatched messages a second: a mean that forgets in ten
    /// minutes.
    pub(super) steady: f64,
    /// Until when it is counted.
    pub(super) steady_at: Millis,
    /// From when on the next attempt is in time, in microseconds. Of use only under a limit.
    pub(super) next_at: i64,
    /// Whether a backlog is being worked off.
    pub(super) catching_up: bool,
}

/// What of an endpoint was just leased.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leased<'a> {
    pub(super) attempts: u32,
    /// Those that are a delivery's first.
    pub(super) first: u32,
    /// Of these, when the messages were dispatched, as far as the deliveries were made at that moment and not later.
    pub(super) dispatched: &'a [Millis],
    /// Whether nothing that is due was left.
    pub(super) all: bool,
}

impl Health {
    /// Counts an attempt, and tells whether the endpoint is to be disabled for it.
    pub(super) fn count(&mut self, finish: &Finish, now: Millis) -> Option<DisabledReason> {
        match finish.after {
            After::Unsent { wait } => {
                self.rests_until = self.rests_until.max(after(now, wait));
                // Much may be due when the rest ends, and what is leased until then was not sent.
                self.pace.catching_up = true;
                return None;
            }
            _ if finish.fault == Fault::Sender => return None,
            _ => self.proven = finish.duration <= PROVEN_WITHIN,
        }
        match finish.after {
            After::Unsent { .. } => None,
            After::Delivered => {
                (self.failures, self.failing_since, self.rests_until) = (0, None, 0);
                None
            }
            After::Gone => Some(DisabledReason::Gone),
            After::Exhausted | After::Refused | After::Retry { .. } => {
                self.failures = self.failures.saturating_add(1);
                self.rests_until = after(now, rest_after(self.failures));
                self.pace.catching_up |= self.failures >= FAILURES_TO_REST;
                let since = *self.failing_since.get_or_insert(now);
                (now.saturating_sub(since) >= millis(finish.disable_after)).then_some(DisabledReason::Failing)
            }
        }
    }

    /// Starts anew when the endpoint is enabled: much may be due at once.
    pub(super) fn enable(&mut self) {
        (self.failures, self.failing_since, self.rests_until) = (0, None, 0);
        self.pace.catching_up = true;
    }

    /// When something may be leased again, as far as rest and pace tell; a moment that has passed means now.
    pub(super) fn ready_at(&self, limit: Option<RateLimit>) -> Millis {
        let paced = match self.interval(limit) {
            Some(_) => (self.pace.next_at - AHEAD + 999).div_euclid(1000),
            None => 0,
        };
        self.rests_until.max(paced)
    }

    /// How many more attempts may be leased beside `in_flight`.
    pub(super) fn room(&self, in_flight: u32, limit: Option<RateLimit>, now: Millis) -> u32 {
        if self.ready_at(limit) > now {
            return 0;
        }
        let most = if self.failures >= FAILURES_TO_REST { 1 } else { IN_FLIGHT };
        let paced = match self.interval(limit) {
            None => u32::MAX,
            Some(interval) => {
                let early = AHEAD - (self.pace.next_at - micros(now)).max(0);
                u32::try_from(early / interval + 1).unwrap_or(u32::MAX)
            }
        };
        most.saturating_sub(in_flight).min(paced)
    }

    /// Notes what was leased.
    pub(super) fn leased(&mut self, leased: Leased<'_>, limit: Option<RateLimit>, now: Millis) {
        if let Some(interval) = self.interval(limit) {
            let from = self.pace.next_at.max(micros(now));
            self.pace.next_at = from.saturating_add(interval.saturating_mul(i64::from(leased.attempts)));
        }
        if self.failures == 0 && !self.pace.catching_up {
            self.pace.count(leased.first, now);
        } else {
            // How fast these are leased tells nothing, but when they were dispatched does. Without it, an endpoint that gets more
            // than it did before would be late for ever. What was dispatched before the last one is here again.
            let fresh = || leased.dispatched.iter().filter(|at| **at >= self.pace.steady_at);
            if let Some(newest) = fresh().max() {
                self.pace.count(u32::try_from(fresh().count()).unwrap_or(u32::MAX), *newest);
            }
        }
        self.pace.catching_up &= !(leased.all && self.failures == 0);
    }

    /// How far apart attempts have to be, in microseconds.
    fn interval(&self, limit: Option<RateLimit>) -> Option<i64> {
        let limit = limit.map(|limit| i64::try_from(limit.interval().as_micros()).unwrap_or(i64::MAX));
        let catching_up =
            self.pace.catching_up.then(|| (1e6 / (self.pace.steady.max(SLOWEST_CATCH_UP) * CATCH_UP)).ceil() as i64);
        limit.into_iter().chain(catching_up).max().map(|interval| interval.max(1))
    }
}

impl Pace {
    /// Counts first attempts since the last count.
    fn count(&mut self, first: u32, until: Millis) {
        let passed = until.saturating_sub(self.steady_at).max(0) as f64 / 1000.0;
        self.steady = self.steady * (-passed / FORGETS).exp() + f64::from(first) / FORGETS;
        self.steady_at = until;
    }
}

fn micros(at: Millis) -> i64 {
    at.saturating_mul(1000)
}

/// How early an attempt may be under a limit, in microseconds: workers do not look at every moment, and what they are late
/// by is not to be lost.
const AHEAD: i64 = 20_000;

/// In how many seconds the steady rate forgets two thirds of what was before.
const FORGETS: f64 = 600.0;

/// The steady rate, a second, that an endpoint is taken to have at least: one that gets little is not to wait for hours.
const SLOWEST_CATCH_UP: f64 = 10.0 / CATCH_UP;

/// Shares what a worker asked for among the endpoints that have something due, in the order in which they are served. What
/// one does not use is left to those after it.
#[derive(Debug)]
pub(super) struct Shares {
    /// How many deliveries may still be leased, and how many of them for unproven endpoints.
    left: u32,
    left_unproven: u32,
    /// How many endpoints are still to come.
    proven: u32,
    unproven: u32,
}

impl Shares {
    /// `proven` tells of each endpoint whether it is.
    pub(super) fn new(request: &LeaseRequest, proven: impl Iterator<Item = bool>) -> Self {
        let mut shares =
            Self { left: request.limit, left_unproven: request.unproven.min(request.limit), proven: 0, unproven: 0 };
        for is_proven in proven {
            *(if is_proven { &mut shares.proven } else { &mut shares.unproven }) += 1;
        }
        shares
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// How many deliveries the next endpoint may have.
    pub(super) fn next(&mut self, proven: bool) -> u32 {
        // However many are not proven, they do not want more than they may have together.
        let wanting = self.proven.saturating_add(self.unproven.min(self.left_unproven));
        let even = self.left.div_ceil(wanting.max(1));
        if proven {
            self.proven = self.proven.saturating_sub(1);
            return even;
        }
        let share = even.min(self.left_unproven.div_ceil(self.unproven.max(1)));
        self.unproven = self.unproven.saturating_sub(1);
        share
    }

    /// Notes how many it took.
    pub(super) fn took(&mut self, count: u32, proven: bool) {
        self.left = self.left.saturating_sub(count);
        if !proven {
            self.left_unproven = self.left_unproven.saturating_sub(count);
        }
    }
}

/// What the endpoint of a delivery is when the delivery is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Deleted,
    Disabled,
    Enabled,
}

/// The next state of a delivery, and when it is due.
pub(super) fn next_state(end: After, standing: Standing, now: Millis) -> (DeliveryState, Millis) {
    match (end, standing) {
        (After::Delivered, _) => (DeliveryState::Delivered, now),
        (After::Exhausted, _) => (DeliveryState::Exhausted, now),
        (After::Refused, _) => (DeliveryState::Refused, now),
        (_, Standing::Deleted) => (DeliveryState::Cancelled, now),
        (After::Gone, _) | (_, Standing::Disabled) => (DeliveryState::Held, now),
        (After::Retry { wait } | After::Unsent { wait }, Standing::Enabled) => {
            (DeliveryState::Pending, after(now, wait))
        }
    }
}

/// What of an endpoint is left when some of it was leased.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// Whether more is due.
    pub(super) more: bool,
    /// When the next of what is not due yet becomes so; the lease of what was just leased ends then, if nothing is earlier.
    pub(super) later: Option<Millis>,
}

/// When an endpoint is to be looked at next, which stands on its row: never later than something of it may be leased. It is
/// often earlier, and then a look finds nothing and moves it on. So it need not be written with each attempt.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn look_at(before: Option<Millis>, left: Left, ready_at: Millis, now: Millis) -> Option<Millis> {
    if !left.more {
        return left.later.map(|later| later.max(ready_at));
    }
    // Looks begin with the endpoints that have stood there longest, so one that was served goes behind the others. It does so once
    // in a while: the column is in an index, and an update that leaves it alone costs less.
    let stays = before.filter(|before| (now.saturating_sub(STANDS)..=now).contains(before));
    Some(stays.unwrap_or(now).max(ready_at))
}

/// For how long an endpoint that is served again and again keeps its place.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const STANDS: Millis = 1000;

/// How many endpoints one look reads of those that may have something to lease.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) const MOST_SEEN: i64 = 10_000;

/// In which states what waits for an endpoint still is, while it is moved to another one since the endpoint was disabled
/// (held), enabled (pending) or deleted (cancelled).
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn moved_from(target: DeliveryState) -> &'static [DeliveryState] {
    match target {
        DeliveryState::Held => &[DeliveryState::Pending],
        DeliveryState::Pending => &[DeliveryState::Held],
        DeliveryState::Cancelled => &[DeliveryState::Held, DeliveryState::Pending],
        _ => &[],
    }
}

/// The state of a delivery as it is shown: what waits to be moved is where it will be.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn shown(state: DeliveryState, target: Option<DeliveryState>) -> DeliveryState {
    target.filter(|target| moved_from(*target).contains(&state)).unwrap_or(state)
}

/// Shows a delivery where it will be when it was moved.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn show(record: &mut DeliveryRecord, target: Option<DeliveryState>) {
    let state = shown(record.state, target);
    if state != record.state {
        record.state = state;
        // What was held is due at once.
        record.due_at = (state == DeliveryState::Pending).then_some(record.created_at);
    }
}

/// What purge does with a message whose time has come.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aged {
    /// It was used later than when it was dispatched: its time comes so much later.
    Later(Millis),
    /// Somebody still waits for it. It is not looked at again before that has ended.
    Awaited,
    /// Its content goes.
    Old {
        /// When it was used last.
        used_at: Millis,
    },
}

/// Decides it, for what was last used before `until`.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn aged(is_awaited: bool, created_at: Millis, last_attempt: Option<Millis>, until: Millis) -> Aged {
    let used_at = last_attempt.map_or(created_at, |ended_at| ended_at.max(created_at));
    match is_awaited {
        true => Aged::Awaited,
        false if used_at >= until => Aged::Later(used_at),
        false => Aged::Old { used_at },
    }
}

/// Tells whether one of an endpoint's patterns matches.
pub(super) fn wants<'p>(patterns: impl Iterator<Item = &'p str>, event_type: &str) -> bool {
    let patterns: Vec<_> = patterns.collect();
    pattern::best(&patterns, Subject { whole: event_type, first: None }).is_some()
}

/// Every pattern that matches an event type.
#[cfg(feature = "postgres")]
pub(super) fn matching(event_type: &str) -> Vec<String> {
    let prefixes = event_type.match_indices('.').map(|(dot, _)| format!("{}.*", &event_type[..dot]));
    [event_type.to_owned(), "*".to_owned()].into_iter().chain(prefixes).collect()
}

/// What tells two messages under one id apart: type, version and payload, each with its length before it.
pub(super) fn digest(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    let version = message.api_version();
    hash.update([u8::from(version.is_some())]);
    for part in [message.event_type(), version.unwrap_or_default(), message.payload().get()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whose message it is; an application without tenants has one without a name.
pub(super) fn tenant(message: &Message) -> &str {
    message.tenant_name().unwrap_or_default()
}

pub(super) fn to_time(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())
}

pub(super) fn from_time(at: SystemTime) -> Millis {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, time::Duration};

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    use super::{Aged, Left, aged, look_at, shown};
    use super::{Health, Leased, Shares, Standing, digest, next_state};
    use crate::send::{
        After, DeliveryState, DisabledReason, Fault, Finish, LeaseRequest, LeaseToken, Message, RateLimit,
    };

    const RETRY: After = After::Retry { wait: Duration::from_secs(5) };
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn ended(after: After) -> Finish {
        let mut finish = Finish::new(after);
        finish.disable_after = DAY;
        finish
    }

    #[test]
    fn an_endpoint_rests_after_failures_in_a_row_and_a_success_ends_it() {
        let mut health = Health::default();
        for _ in 0..4 {
            assert_eq!(health.count(&ended(RETRY), 1000), None);
        }
        assert_eq!((health.room(0, None, 1000), health.room(3, None, 1000), health.rests_until), (4, 1, 1000));

        health.count(&ended(RETRY), 1000);
        assert_eq!((health.room(0, None, 11_000), health.room(1, None, 11_000)), (1, 0));
        assert_eq!((health.rests_until, health.room(0, None, 10_999)), (11_000, 0));
        for _ in 0..20 {
            health.count(&ended(RETRY), 1000);
        }
        assert_eq!(health.rests_until, 301_000);

        health.count(&ended(After::Delivered), 2000);
        assert_eq!((health.failures, health.failing_since, health.rests_until), (0, None, 0));
    }

    #[test]
    fn an_endpoint_is_disabled_after_failing_for_long_and_at_once_when_it_is_gone() {
        let mut health = Health::default();
        health.count(&ended(RETRY), 0);
        assert_eq!(health.count(&ended(RETRY), 86_399_999), None);
        assert_eq!(health.count(&ended(After::Unsent { wait: DAY }), 86_400_000), None);
        assert_eq!(health.count(&ended(After::Exhausted), 86_400_000), Some(DisabledReason::Failing));
        assert_eq!(Health::default().count(&ended(After::Gone), 0), Some(DisabledReason::Gone));
    }

    #[test]
    fn what_is_our_fault_does_not_count_against_an_endpoint() {
        let mut health = Health::default();
        let mut finish = ended(RETRY);
        finish.fault = Fault::Sender;

        for _ in 0..10 {
            assert_eq!(health.count(&finish, 0), None);
        }
        assert_eq!(health, Health::default());

        health.count(&ended(After::Unsent { wait: Duration::from_secs(60) }), 0);
        assert_eq!((health.failures, health.room(0, None, 59_999), health.room(0, None, 60_000)), (0, 0, 1));
        assert!(health.pace.catching_up, "what waited meanwhile is worked off at the pace of a backlog");
    }

    #[test]
    fn an_endpoint_is_proven_by_a_quick_answer_alone() {
        let mut health = Health::default();
        for (seconds, proven) in [(1, true), (3, false), (2, true)] {
            let mut finish = ended(After::Delivered);
            finish.duration = Duration::from_secs(seconds);
            health.count(&finish, 0);
            assert_eq!(health.proven, proven);
        }
    }

    /// Looks at every 5 ms, with `due` deliveries due in all of them, and gives how many were leased in each second.
    fn leased_by_second(
        health: &mut Health,
        limit: Option<RateLimit>,
        due: impl Fn(u64) -> u64,
        seconds: Range<u64>,
    ) -> Vec<u32> {
        let mut by_second = Vec::new();
        let (mut taken, mut made) = (0, 0);
        for second in seconds {
            let mut count = 0;
            for look in 0..200 {
                let now = i64::try_from(second * 1000 + look * 5).unwrap();
                let left = due(second) - taken;
                let room = health.room(0, limit, now).min(u32::try_from(left).unwrap());
                if room > 0 {
                    let dispatched: Vec<_> = (taken..taken + u64::from(room))
                        .map(|number| {
                            while due(made) <= number {
                                made += 1;
                            }
                            i64::try_from(made * 1000).unwrap()
                        })
                        .collect();
                    taken += u64::from(room);
                    count += room;
                    let all = u64::from(room) == left;
                    health.leased(Leased { attempts: room, first: room, dispatched: &dispatched, all }, limit, now);
                }
            }
            by_second.push(count);
        }
        by_second
    }

    #[test]
    fn a_rate_limit_is_kept_and_reached() {
        for (limit, most) in [("1/s", 1), ("10/s", 10), ("70/s", 70), ("400/s", 400), ("90/min", 2)] {
            let counts = leased_by_second(&mut Health::default(), Some(limit.parse().unwrap()), |_| 1_000_000, 0..60);

            let reached = counts.iter().sum::<u32>();
            assert!(counts.iter().all(|count| *count <= most + most / 50 + 1), "{limit}: {counts:?}");
            let all = if limit == "90/min" { 90 } else { most * 60 };
            assert!((all * 97 / 100..=all + 10).contains(&reached), "{limit}: {reached}");
        }
    }

    #[test]
    fn a_backlog_is_worked_off_at_less_than_twice_the_steady_rate() {
        let mut health = Health::default();
        let before = leased_by_second(&mut health, None, |second| (second + 1) * 30, 0..3600);
        assert!(before.iter().all(|count| *count == 30), "nothing is limited while all goes well");

        for _ in 0..5 {
            health.count(&ended(RETRY), 3_600_000);
        }
        health.count(&ended(After::Delivered), 7_200_000);
        // An hour's deliveries are due, and 30 more in each second.
        let mut later = health;
        later.pace.steady_at = 0;
        later.pace.next_at = 0;
        let after = leased_by_second(&mut later, None, |second| (second + 1) * 30, 3600..4 * 3600);

        assert!(after.iter().all(|count| *count <= 60), "{:?}", after.iter().max());
        assert!(after.iter().take(3600).all(|count| *count >= 50), "{:?}", after.iter().take(3600).min());
        assert!(!later.pace.catching_up && after.last() == Some(&30), "it ends");
    }

    #[test]
    fn an_endpoint_that_gets_more_than_ever_before_is_not_late_for_ever() {
        let mut health = Health::default();
        health.enable();

        let counts = leased_by_second(&mut health, None, |second| (second + 1) * 50, 0..2 * 3600);

        assert!(counts.iter().take(60).all(|count| *count <= 11), "it begins as slowly as ever");
        let grows = |pair: &[u32]| pair[1] <= pair[0] + pair[0] / 2;
        let minutes: Vec<u32> = counts.chunks(60).map(|minute| minute.iter().sum()).collect();
        assert!(minutes.windows(2).all(grows), "it does not jump: {minutes:?}");
        assert!(counts.iter().all(|count| *count <= 100), "{:?}", counts.iter().max());
        assert!(!health.pace.catching_up && counts.last() == Some(&50), "{:?}", counts.last());
    }

    #[test]
    fn what_is_sent_again_does_not_make_an_endpoint_faster() {
        let mut health = Health::default();
        leased_by_second(&mut health, None, |second| (second + 1) * 30, 0..3600);
        health.pace.catching_up = true;
        let steady = health.pace.steady;

        for look in 0..100_000 {
            // One that was dispatched before, and one that was made when it was recovered.
            for dispatched in [&[3_000_000 + look / 2][..], &[]] {
                health.leased(Leased { attempts: 1, first: 1, dispatched, all: false }, None, 3_600_000 + look * 20);
            }
        }

        assert_eq!(health.pace.steady, steady);
    }

    #[test]
    fn an_endpoint_that_gets_little_does_not_wait_for_long() {
        let mut health = Health::default();
        health.enable();

        let counts = leased_by_second(&mut health, None, |_| 100, 0..12);

        assert!(counts.iter().all(|count| *count <= 11), "{counts:?}");
        assert_eq!(counts.iter().sum::<u32>(), 100);
    }

    /// Each endpoint takes up to `most`.
    fn taken(limit: u32, unproven: u32, endpoints: &[bool], most: u32) -> Vec<u32> {
        let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, limit);
        request.unproven = unproven;
        let mut shares = Shares::new(&request, endpoints.iter().copied());
        let take = |proven: &bool| {
            let count = shares.next(*proven).min(most);
            shares.took(count, *proven);
            count
        };
        endpoints.iter().map(take).collect()
    }

    #[test]
    fn what_a_worker_asks_for_is_shared_and_unproven_endpoints_have_a_share_of_their_own() {
        assert_eq!(taken(10, 10, &[true, true, true], 4), [4, 3, 3]);
        assert_eq!(taken(10, 10, &[true, false], 4), [4, 4]);
        assert_eq!(taken(8, 2, &[false, false, false, true, true], 4), [1, 1, 0, 3, 3]);
        assert_eq!(taken(8, 0, &[false, true], 4), [0, 4]);
        assert_eq!(taken(2, 5, &[true, false, false], 4), [1, 1, 0]);
        let many: Vec<_> = [false; 300].into_iter().chain([true]).collect();
        assert_eq!(taken(256, 64, &many, 4).last(), Some(&4));
        assert_eq!(taken(256, 64, &many, 4).iter().sum::<u32>(), 68);
    }

    #[test]
    fn what_cannot_be_sent_now_is_held_and_what_never_can_is_cancelled() {
        for (end, standing, state) in [
            (RETRY, Standing::Enabled, DeliveryState::Pending),
            (RETRY, Standing::Disabled, DeliveryState::Held),
            (RETRY, Standing::Deleted, DeliveryState::Cancelled),
            (After::Gone, Standing::Enabled, DeliveryState::Held),
            (After::Delivered, Standing::Deleted, DeliveryState::Delivered),
            (After::Exhausted, Standing::Disabled, DeliveryState::Exhausted),
        ] {
            assert_eq!(next_state(end, standing, 0).0, state, "{end:?} {standing:?}");
        }
    }

    /// PostgreSQL compares what this gives with an endpoint's patterns.
    #[cfg(feature = "postgres")]
    #[test]
    fn the_patterns_that_match_are_those_by_which_a_type_is_wanted() {
        let patterns = ["*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "a.b.c.*", "ab.*", "b.*", "a*", "*.b", ""];
        for event_type in ["a", "a.b", "a.b.c", "ab.c", "b"] {
            let matching = super::matching(event_type);
            for pattern in patterns {
                let wanted = super::wants([pattern].into_iter(), event_type);
                assert_eq!(matching.iter().any(|text| text == pattern), wanted, "{event_type} {pattern}");
            }
        }
    }

    #[test]
    fn messages_are_told_apart_by_type_version_and_payload() {
        let message = |event_type: &str, payload: &str| Message::new(event_type, payload).unwrap();
        let one = digest(&message("a", "x"));

        assert_eq!(one, digest(&message("a", "x")));
        assert_ne!(one, digest(&message("a", "y")));
        assert_ne!(one, digest(&message("b", "x")));
        assert_ne!(one, digest(&message("a", "x").version("")));
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn an_endpoint_is_looked_at_when_something_of_it_may_be_leased() {
        let now = 100_000;
        let more = Left { more: true, later: Some(now + 30_000) };
        // What was served goes behind the others, once in a second, and not before it is ready.
        assert_eq!(look_at(None, more, 0, now), Some(now));
        assert_eq!(look_at(Some(now - 1000), more, 0, now), Some(now - 1000));
        assert_eq!(look_at(Some(now - 1001), more, 0, now), Some(now));
        assert_eq!(look_at(Some(now), more, now + 5, now), Some(now + 5));

        let all = Left { more: false, later: Some(now + 30_000) };
        assert_eq!(look_at(Some(now), all, 0, now), Some(now + 30_000));
        assert_eq!(look_at(Some(now), all, now + 60_000, now), Some(now + 60_000));
        assert_eq!(look_at(Some(now), Left { more: false, later: None }, now + 60_000, now), None);
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn what_is_being_moved_is_shown_where_it_will_be() {
        use DeliveryState::{Cancelled, Delivered, Held, Pending, Sending};

        for (state, target, wanted) in [
            (Pending, Some(Held), Held),
            (Held, Some(Pending), Pending),
            (Held, Some(Held), Held),
            (Held, Some(Cancelled), Cancelled),
            (Pending, Some(Cancelled), Cancelled),
            (Sending, Some(Held), Sending),
            (Delivered, Some(Cancelled), Delivered),
            (Pending, None, Pending),
        ] {
            assert_eq!(shown(state, target), wanted, "{state:?} to {target:?}");
        }
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn a_message_is_old_from_its_last_attempt_on() {
        assert_eq!(aged(true, 10, Some(20), 100), Aged::Awaited);
        assert_eq!(aged(false, 10, None, 100), Aged::Old { used_at: 10 });
        assert_eq!(aged(false, 10, Some(99), 100), Aged::Old { used_at: 99 });
        assert_eq!(aged(false, 10, Some(100), 100), Aged::Later(100));
    }
}
