use std::time::Duration;

use super::standing::Standing;
use crate::{
    clock::{Millis, after, millis},
    send::outbox::store::{
        delivery::DeliveryState,
        endpoint::{DisabledReason, EndpointSettings},
        lease::{After, Fault, Finish},
        limits::{
            CATCH_UP, FAILURES_TO_DISABLE, FAILURES_TO_REST, IN_FLIGHT, LONGEST_ASKED_REST, PROVEN_WITHIN, SLOW_FOR,
            rest_after,
        },
        rate_limit::RateLimit,
    },
};

/// The health of an endpoint: what a store keeps for it in addition to its record, as columns or as this value.
///
/// A new endpoint has the default, with [`in_order`](Self::in_order) as its settings say.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{After, Finish, policy::Health};
///
/// let mut health = Health::default();
/// let failed = Finish::new(After::Retry { wait: Duration::from_secs(5) });
/// for _ in 0..5 {
///     // Each attempt was leased after all that was counted before.
///     assert_eq!(health.count(&failed, health.epoch, 1000), None);
/// }
///
/// // It rests for 10 seconds, and then gets one delivery at a time.
/// assert_eq!((health.room(0, None, 10_999), health.room(0, None, 11_000)), (0, 1));
///
/// // A success ends that. What waited meanwhile is worked off at a pace.
/// health.count(&Finish::new(After::Delivered), health.epoch, 12_000);
/// assert_eq!((health.failures, health.pace.catching_up), (0, true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Health {
    /// Failures in a row. Attempts that were in flight together count as one.
    pub failures: u32,
    /// When the first of these failures was.
    pub failing_since: Option<Millis>,
    /// How many failures since then were well apart in time.
    pub strikes: u32,
    /// When the last failure was that `strikes` counts.
    pub struck_at: Millis,
    /// Until when the endpoint rests: only deliveries that go before everything else are leased.
    pub rests_until: Millis,
    /// A number that grows with each failure that counts, and with each change that makes earlier failures irrelevant.
    /// An attempt that was leased in an earlier epoch was in flight at that moment.
    pub epoch: i64,
    /// The first epoch of the endpoint's URL.
    pub url_epoch: i64,
    /// Whether its attempts are quick.
    pub proven: bool,
    /// When an attempt was last slow; 0 if none was.
    pub slow_at: Millis,
    /// Whether a delivery waits that goes before everything else, even during a rest.
    pub urgent: bool,
    /// Whether its deliveries are attempted one at a time and in their order.
    pub in_order: bool,
    /// The rate at which its deliveries are leased.
    pub pace: Pace,
}

/// The rate at which an endpoint's deliveries are leased.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Pace {
    /// The mean over about ten minutes of first attempts per second while nothing fails, and otherwise of dispatched
    /// messages per second.
    pub steady: f64,
    /// Up to which moment `steady` has been counted.
    pub steady_at: Millis,
    /// From when on the next attempt is allowed, in microseconds. It is used only under a limit.
    pub next_at: i64,
    /// Whether a backlog is being worked off.
    pub catching_up: bool,
}

/// The deliveries of an endpoint that were just leased.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leased<'a> {
    pub(super) attempts: u32,
    /// How many of them are the first attempt of their delivery.
    pub(super) first: u32,
    /// When the messages of these were dispatched. A delivery that was made later than its message is left out.
    pub(super) dispatched: &'a [Millis],
    /// Whether nothing that is due was left.
    pub(super) all: bool,
    /// Whether a delivery was left that goes before everything else.
    pub(super) urgent_left: bool,
}

impl Health {
    /// Counts an attempt that was leased in `epoch`. Returns the reason if the endpoint is to be disabled for it.
    pub fn count(&mut self, finish: &Finish, epoch: i64, now: Millis) -> Option<DisabledReason> {
        if epoch < self.url_epoch {
            // The former URL answered this attempt, which says nothing about the current one.
            return None;
        }
        if let (true, After::Retry { wait }) = (self.in_order, finish.after) {
            // In order, the deliveries behind it wait too.
            self.rests_until = self.rests_until.max(after(now, wait));
        }
        match finish.after {
            After::Unsent { wait } => {
                self.rests_until = self.rests_until.max(after(now, wait));
                // Many deliveries may be due when the rest ends. What was leased in the meantime was not sent either.
                self.pace.catching_up = true;
                return None;
            }
            _ if finish.fault == Fault::Sender => return None,
            _ => self.took(finish.duration, now),
        }
        match finish.after {
            After::Unsent { .. } => None,
            After::Delivered => {
                (self.failures, self.failing_since, self.strikes) = (0, None, 0);
                if epoch >= self.epoch {
                    self.rests_until = 0;
                }
                None
            }
            After::Gone => Some(DisabledReason::Gone),
            After::Exhausted | After::Refused | After::Retry { .. } => {
                // Of the attempts that were in flight together only the first one counts.
                if epoch >= self.epoch {
                    self.epoch += 1;
                    self.failures = self.failures.saturating_add(1);
                    self.rests_until = self.rests_until.max(after(now, rest_after(self.failures)));
                    self.pace.catching_up |= self.failures >= FAILURES_TO_REST;
                }
                if let Some(wait) = finish.retry_after {
                    self.rests_until = self.rests_until.max(after(now, wait.min(LONGEST_ASKED_REST)));
                    self.pace.catching_up = true;
                }
                self.has_failed_for(millis(finish.disable_after), now).then_some(DisabledReason::Failing)
            }
        }
    }

    /// Notes how long an attempt took. A slow attempt is remembered for a while; otherwise an endpoint that is quick
    /// from time to time would take the places of those that are always quick.
    fn took(&mut self, duration: Duration, now: Millis) {
        if duration > PROVEN_WITHIN {
            (self.proven, self.slow_at) = (false, now);
        } else {
            self.proven = self.slow_at == 0 || now.abs_diff(self.slow_at) >= millis(SLOW_FOR).unsigned_abs();
        }
    }

    /// Notes a failure. Returns `true` if there have been only failures for `disable_after`. A few failures at two
    /// moments are not enough, however far apart these are.
    fn has_failed_for(&mut self, disable_after: Millis, now: Millis) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        if self.strikes == 0 || now.saturating_sub(self.struck_at) >= disable_after / 10 {
            self.strikes = self.strikes.saturating_add(1);
            self.struck_at = now;
        }
        now.saturating_sub(since) >= disable_after && self.strikes >= FAILURES_TO_DISABLE
    }

    /// Resets the counts when the endpoint is enabled. Many deliveries may be due at once then.
    pub fn enable(&mut self) {
        (self.failures, self.failing_since, self.strikes, self.rests_until) = (0, None, 0, 0);
        self.epoch += 1;
        self.pace.catching_up = true;
    }

    /// Notes that the endpoint was changed. Somebody has repaired it, so its rest ends. At another URL there is another
    /// receiver, about which nothing is known.
    pub fn changed(&mut self, from: &EndpointSettings, to: &EndpointSettings) {
        self.in_order = to.in_order;
        if from.url != to.url {
            (self.failures, self.failing_since, self.strikes, self.rests_until) = (0, None, 0, 0);
            self.epoch += 1;
            self.url_epoch = self.epoch;
            self.proven = false;
        } else if from.style != to.style || from.sealed != to.sealed {
            self.epoch += 1;
            self.rests_until = 0;
        }
    }

    /// Returns the due time of a delivery that continues to wait. If the endpoint gets its deliveries in order, the
    /// delivery keeps its place, and the endpoint rests until the retry.
    pub fn due(&self, state: DeliveryState, due_at: Millis, created_at: Millis) -> Millis {
        if self.in_order && state == DeliveryState::Pending { created_at.min(due_at) } else { due_at }
    }

    /// Returns the standing of an enabled endpoint for a delivery that was leased in `epoch`.
    pub fn standing(&self, epoch: i64) -> Standing {
        if epoch < self.url_epoch { Standing::Moved } else { Standing::Enabled }
    }

    /// Returns when rest and pace allow the next lease. A time in the past means now.
    pub fn ready_at(&self, limit: Option<RateLimit>) -> Millis {
        let paced = match self.interval(limit) {
            Some(_) => (self.pace.next_at - AHEAD + 999).div_euclid(1000),
            None => 0,
        };
        if self.urgent {
            // The owner's limit applies to everything that is sent.
            return limit.map_or(0, |_| paced);
        }
        self.rests_until.max(paced)
    }

    /// Returns how many more attempts may be leased in addition to those that are in flight.
    pub fn room(&self, in_flight: u32, limit: Option<RateLimit>, now: Millis) -> u32 {
        if self.ready_at(limit) > now {
            return 0;
        }
        let most = if self.in_order || self.failures >= FAILURES_TO_REST { 1 } else { IN_FLIGHT };
        let early = AHEAD - (self.pace.next_at - micros(now)).max(0);
        let paced = match self.interval(limit) {
            None => u32::MAX,
            Some(_) if early < 0 => 0,
            Some(interval) => u32::try_from(early / interval + 1).unwrap_or(u32::MAX),
        };
        let usual = if self.rests_until > now { 0 } else { paced };
        // Deliveries that go before everything else are leased one at a time when nothing else may be leased.
        most.saturating_sub(in_flight).min(usual.max(u32::from(self.urgent)))
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
            // The limit decides how fast these are leased, so only the times of their dispatch show the real rate.
            // Without them, an endpoint that gets more than before would stay late forever. Messages that were
            // dispatched before the last count were counted already.
            let fresh = || leased.dispatched.iter().filter(|at| **at >= self.pace.steady_at);
            if let Some(newest) = fresh().max() {
                self.pace.count(u32::try_from(fresh().count()).unwrap_or(u32::MAX), *newest);
            }
        }
        self.pace.catching_up &= !(leased.all && self.failures == 0);
        self.urgent &= leased.urgent_left;
    }

    /// Returns the minimum time between two attempts in microseconds, if there is one.
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

/// How early an attempt may be under a limit, in microseconds: workers look only from time to time, and the time by
/// which they are late must not lower the rate.
const AHEAD: i64 = 20_000;

/// The number of seconds after which two thirds of the earlier rate no longer count in the steady rate.
const FORGETS: f64 = 600.0;

/// The lowest steady rate per second that is assumed, so that an endpoint with few deliveries does not wait for hours.
const SLOWEST_CATCH_UP: f64 = 10.0 / CATCH_UP;

#[cfg(test)]
mod tests {
    use std::{ops::Range, time::Duration};

    use super::{Health, Leased, Standing};
    use crate::send::{After, DisabledReason, EndpointSettings, Fault, Finish, RateLimit, Sealed, Style};

    const RETRY: After = After::Retry { wait: Duration::from_secs(5) };
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn ended(after: After) -> Finish {
        let mut finish = Finish::new(after);
        finish.disable_after = DAY;
        finish
    }

    /// Counts an attempt that was leased after all that was counted before.
    fn count(health: &mut Health, finish: &Finish, now: i64) -> Option<DisabledReason> {
        let epoch = health.epoch;
        health.count(finish, epoch, now)
    }

    #[test]
    fn an_endpoint_rests_after_failures_in_a_row_and_a_success_ends_it() {
        let mut health = Health::default();
        for _ in 0..4 {
            assert_eq!(count(&mut health, &ended(RETRY), 1000), None);
        }
        assert_eq!((health.room(0, None, 1000), health.room(3, None, 1000), health.rests_until), (4, 1, 1000));

        count(&mut health, &ended(RETRY), 1000);
        assert_eq!((health.room(0, None, 11_000), health.room(1, None, 11_000)), (1, 0));
        assert_eq!((health.rests_until, health.room(0, None, 10_999)), (11_000, 0));
        for _ in 0..20 {
            count(&mut health, &ended(RETRY), 1000);
        }
        assert_eq!(health.rests_until, 301_000);

        count(&mut health, &ended(After::Delivered), 2000);
        assert_eq!((health.failures, health.failing_since, health.rests_until), (0, None, 0));
    }

    #[test]
    fn attempts_in_flight_together_count_as_one_failure() {
        let mut health = Health::default();
        for round in 1..=5 {
            // Four and four are in flight, and all of them fail within a moment.
            let epoch = health.epoch;
            for _ in 0..8 {
                health.count(&ended(RETRY), epoch, 1000);
            }
            assert_eq!(health.failures, round);
        }
        assert_eq!(health.rests_until, 11_000, "the first rest is 10 s");

        // An attempt that was leased before the rest began ends late.
        let before = health.epoch - 1;
        health.count(&ended(RETRY), before, 5000);
        assert_eq!((health.failures, health.rests_until), (5, 11_000));
        health.count(&ended(After::Delivered), before, 5000);
        assert_eq!((health.failures, health.rests_until), (0, 11_000), "a late success does not end a rest");
    }

    #[test]
    fn an_endpoint_rests_for_as_long_as_it_asks_within_a_bound() {
        let mut health = Health::default();
        let asks = |seconds| {
            let mut finish = ended(RETRY);
            finish.retry_after = Some(Duration::from_secs(seconds));
            finish
        };

        count(&mut health, &asks(600), 1000);
        assert_eq!((health.rests_until, health.room(0, None, 600_999), health.room(0, None, 601_000)), (601_000, 0, 1));
        assert!(health.pace.catching_up, "what waited meanwhile is worked off at the pace of a backlog");
        count(&mut health, &asks(60), 2000);
        assert_eq!(health.rests_until, 601_000, "the longer one counts");
        count(&mut health, &asks(100_000), 2000);
        assert_eq!(health.rests_until, 3_602_000);
    }

    #[test]
    fn what_an_old_url_answers_is_not_counted_and_a_mended_endpoint_does_not_rest() {
        let sealed = |byte: u8| Sealed::new("key", vec![byte]);
        let settings = |url: &str, byte| EndpointSettings::new(url, Vec::new(), Style::StandardWebhooks, sealed(byte));
        let mut health = Health::default();
        for _ in 0..6 {
            count(&mut health, &ended(RETRY), 1000);
        }
        let leased = health.epoch;

        let mut other = settings("https://a.example", 1);
        other.description = "another".into();
        health.changed(&settings("https://a.example", 1), &other);
        assert_eq!((health.epoch, health.rests_until), (leased, 21_000), "nothing was mended");
        health.changed(&settings("https://a.example", 1), &settings("https://a.example", 2));
        assert_eq!((health.failures, health.rests_until), (6, 0), "another secret or header");
        assert_eq!((health.room(0, None, 1000), health.standing(leased)), (1, Standing::Enabled));
        health.changed(&settings("https://a.example", 2), &settings("https://b.example", 2));
        assert_eq!((health.failures, health.failing_since, health.proven), (0, None, false));
        assert_eq!((health.standing(leased), health.standing(health.epoch)), (Standing::Moved, Standing::Enabled));

        let moved = health;
        for late in [RETRY, After::Gone, After::Refused, After::Exhausted, After::Delivered] {
            assert_eq!(health.count(&ended(late), leased, 1000), None);
        }
        assert_eq!(health, moved);
    }

    #[test]
    fn what_goes_first_waits_for_no_rest_but_for_the_owners_limit() {
        let mut health = Health::default();
        for _ in 0..5 {
            count(&mut health, &ended(RETRY), 1000);
        }
        let limit = Some("1/min".parse().unwrap());
        health.urgent = true;

        assert_eq!((health.ready_at(None), health.room(0, None, 1000), health.room(1, None, 1000)), (0, 1, 0));
        let leased = |urgent_left| Leased { attempts: 1, first: 1, dispatched: &[], all: false, urgent_left };
        let mut limited = health;
        limited.leased(leased(true), limit, 1000);
        assert_eq!((limited.room(0, limit, 1000), limited.room(0, limit, 61_000)), (0, 1));
        health.leased(leased(true), None, 1000);
        assert_eq!(health.room(0, None, 1000), 1);
        health.leased(leased(false), None, 1000);
        assert_eq!((health.ready_at(None), health.room(0, None, 1000)), (11_000, 0));
    }

    #[test]
    fn an_endpoint_is_disabled_after_failing_for_long_and_at_once_when_it_is_gone() {
        let mut health = Health::default();
        // Each is a tenth of a day after the one before.
        for moment in 0..9 {
            assert_eq!(count(&mut health, &ended(RETRY), moment * 8_640_000), None);
        }
        assert_eq!(count(&mut health, &ended(RETRY), 86_399_999), None);
        assert_eq!(count(&mut health, &ended(After::Unsent { wait: DAY }), 86_400_000), None);
        assert_eq!(count(&mut health, &ended(After::Exhausted), 86_400_000), Some(DisabledReason::Failing));
        assert_eq!(Health::default().count(&ended(After::Gone), 0, 0), Some(DisabledReason::Gone));
    }

    #[test]
    fn bad_minutes_days_apart_do_not_disable_an_endpoint() {
        let mut health = Health::default();
        for minute in [0, 86_400_000, 6 * 86_400_000, 13 * 86_400_000] {
            for second in 0..60 {
                assert_eq!(count(&mut health, &ended(After::Exhausted), minute + second * 1000), None);
            }
        }
        assert_eq!(count(&mut health, &ended(After::Exhausted), 20 * 86_400_000), Some(DisabledReason::Failing));
        count(&mut health, &ended(After::Delivered), 20 * 86_400_000);
        assert_eq!(count(&mut health, &ended(After::Exhausted), 30 * 86_400_000), None, "a success ends it");
    }

    #[test]
    fn what_is_our_fault_does_not_count_against_an_endpoint() {
        let mut health = Health::default();
        let mut finish = ended(RETRY);
        finish.fault = Fault::Sender;

        for _ in 0..10 {
            assert_eq!(count(&mut health, &finish, 0), None);
        }
        assert_eq!(health, Health::default());

        count(&mut health, &ended(After::Unsent { wait: Duration::from_secs(60) }), 0);
        assert_eq!((health.failures, health.room(0, None, 59_999), health.room(0, None, 60_000)), (0, 0, 1));
        assert!(health.pace.catching_up, "what waited meanwhile is worked off at the pace of a backlog");
    }

    #[test]
    fn an_endpoint_is_proven_by_a_quick_answer_and_not_for_a_while_after_a_slow_one() {
        let mut health = Health::default();
        for (at, took, proven) in [
            (0, 2000, true),
            (1000, 2001, false),
            (2000, 1, false),
            (600_999, 1, false),
            (601_000, 1, true),
            // The clock was set back.
            (-3_600_000, 1, true),
        ] {
            let mut finish = ended(After::Delivered);
            finish.duration = Duration::from_millis(took);
            count(&mut health, &finish, at);
            assert_eq!(health.proven, proven, "{at}");
        }
    }

    /// Looks every 5 ms while `due` deliveries are due. Returns how many were leased in each second.
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
                    health.leased(
                        Leased { attempts: room, first: room, dispatched: &dispatched, all, urgent_left: false },
                        limit,
                        now,
                    );
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
            count(&mut health, &ended(RETRY), 3_600_000);
        }
        count(&mut health, &ended(After::Delivered), 7_200_000);
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

        assert!(counts.iter().take(60).all(|count| *count <= 11), "it begins as slowly as before");
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
                health.leased(
                    Leased { attempts: 1, first: 1, dispatched, all: false, urgent_left: false },
                    None,
                    3_600_000 + look * 20,
                );
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
}
