//! What becomes of deliveries and endpoints, as pure functions that the stores of the outbox share. Times are milliseconds
//! of the store's clock.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::record::{Millis, after};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::boxed::BoxError;
use crate::{
    clock::millis,
    pattern::{self, Subject},
    send::{
        After, BACKLOG_COUNTED, Backlog, CATCH_UP, DeliveryState, DisabledReason, EndpointSettings,
        FAILURES_TO_DISABLE, FAILURES_TO_REST, Fault, Finish, Held, IN_FLIGHT, LONGEST_ASKED_REST, LeaseRequest,
        Message, PROVEN_WITHIN, RateLimit, SLOW_FOR, rest_after,
    },
};

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Health {
    /// Failures in a row. Attempts that were in flight together count as one.
    pub(super) failures: u32,
    pub(super) failing_since: Option<Millis>,
    /// How many failures since then lie well apart, and when the last of these was.
    pub(super) strikes: u32,
    pub(super) struck_at: Millis,
    pub(super) rests_until: Millis,
    /// Grows with each failure that counts and with each change after which earlier failures mean nothing. An attempt that was
    /// leased in an earlier one was in flight at that moment.
    pub(super) epoch: i64,
    /// The first epoch of the endpoint's URL.
    pub(super) url_epoch: i64,
    /// Whether its attempts are quick.
    pub(super) proven: bool,
    /// When an attempt was last slow; 0 where none was.
    pub(super) slow_at: Millis,
    /// Whether something waits that goes before all else, and does not wait for a rest.
    pub(super) urgent: bool,
    /// Whether its deliveries are attempted one at a time and in their order.
    pub(super) in_order: bool,
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
    /// Whether something was left that goes before all else.
    pub(super) urgent_left: bool,
}

impl Health {
    /// Counts an attempt that was leased in `epoch`, and tells whether the endpoint is to be disabled for it.
    pub(super) fn count(&mut self, finish: &Finish, epoch: i64, now: Millis) -> Option<DisabledReason> {
        if epoch < self.url_epoch {
            // What another URL answers says nothing of this one.
            return None;
        }
        if let (true, After::Retry { wait }) = (self.in_order, finish.after) {
            // Those behind it wait with it.
            self.rests_until = self.rests_until.max(after(now, wait));
        }
        match finish.after {
            After::Unsent { wait } => {
                self.rests_until = self.rests_until.max(after(now, wait));
                // Much may be due when the rest ends, and what is leased until then was not sent.
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
                // Of those that were in flight together the first one counts.
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

    /// Notes how long an attempt took. One that was slow is remembered for a while: an endpoint that is quick now and then
    /// would otherwise take the places of those that always are.
    fn took(&mut self, duration: Duration, now: Millis) {
        if duration > PROVEN_WITHIN {
            (self.proven, self.slow_at) = (false, now);
        } else {
            self.proven = self.slow_at == 0 || now.abs_diff(self.slow_at) >= millis(SLOW_FOR).unsigned_abs();
        }
    }

    /// Notes a failure, and tells whether there was none but failures for so long. A few of them at two moments are not enough,
    /// however far apart these lie.
    fn has_failed_for(&mut self, disable_after: Millis, now: Millis) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        if self.strikes == 0 || now.saturating_sub(self.struck_at) >= disable_after / 10 {
            self.strikes = self.strikes.saturating_add(1);
            self.struck_at = now;
        }
        now.saturating_sub(since) >= disable_after && self.strikes >= FAILURES_TO_DISABLE
    }

    /// Starts again when the endpoint is enabled: much may be due at once.
    pub(super) fn enable(&mut self) {
        (self.failures, self.failing_since, self.strikes, self.rests_until) = (0, None, 0, 0);
        self.epoch += 1;
        self.pace.catching_up = true;
    }

    /// Notes that the endpoint was changed. Somebody has mended it, so it does not rest any longer. At another URL it is another
    /// receiver, of which nothing is known.
    pub(super) fn changed(&mut self, from: &EndpointSettings, to: &EndpointSettings) {
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

    /// When a delivery is due that goes on waiting, among the others of its endpoint. In order, it keeps its place, and the endpoint rests
    /// until its retry.
    pub(super) fn due(&self, state: DeliveryState, due_at: Millis, created_at: Millis) -> Millis {
        if self.in_order && state == DeliveryState::Pending { created_at.min(due_at) } else { due_at }
    }

    /// What an endpoint is to a delivery that was leased in `epoch`.
    pub(super) fn standing(&self, epoch: i64) -> Standing {
        if epoch < self.url_epoch { Standing::Moved } else { Standing::Enabled }
    }

    /// When something may be leased again, as far as rest and pace tell; a moment that has passed means now.
    pub(super) fn ready_at(&self, limit: Option<RateLimit>) -> Millis {
        let paced = match self.interval(limit) {
            Some(_) => (self.pace.next_at - AHEAD + 999).div_euclid(1000),
            None => 0,
        };
        if self.urgent {
            // A limit of its owner's holds for all that is sent.
            return limit.map_or(0, |_| paced);
        }
        self.rests_until.max(paced)
    }

    /// How many more attempts may be leased beside `in_flight`.
    pub(super) fn room(&self, in_flight: u32, limit: Option<RateLimit>, now: Millis) -> u32 {
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
        // What goes before all else comes one by one where nothing else may come.
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
            // How fast these are leased tells nothing, but when they were dispatched does. Without it, an endpoint that gets more
            // than it did before would be late for ever. What was dispatched before the last one is here again.
            let fresh = || leased.dispatched.iter().filter(|at| **at >= self.pace.steady_at);
            if let Some(newest) = fresh().max() {
                self.pace.count(u32::try_from(fresh().count()).unwrap_or(u32::MAX), *newest);
            }
        }
        self.pace.catching_up &= !(leased.all && self.failures == 0);
        self.urgent &= leased.urgent_left;
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
pub(super) struct Shares<'a> {
    /// How many deliveries may still be leased, and how many of them for unproven endpoints.
    left: u32,
    left_unproven: u32,
    /// How many endpoints are still to come.
    proven: u32,
    unproven: u32,
    /// What each tenant has of the worker's places; none where tenants have no shares.
    tenants: Option<HashMap<&'a str, Places>>,
}

/// How many of a worker's places somebody has, and how many of these for unproven endpoints.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    all: u32,
    unproven: u32,
}

impl Places {
    /// How many more there may be. A tenant never has more than what is free: alone it leaves half, and though several want all they
    /// can get, a newcomer finds room.
    fn room(self, left: u32, left_unproven: u32, proven: bool) -> u32 {
        let share = |left: u32, has: u32| {
            let more = left.saturating_sub(has) / 2;
            if has == 0 { more.max(1) } else { more }
        };
        let room = share(left, self.all);
        if proven { room } else { room.min(share(left_unproven, self.unproven)) }
    }
}

impl<'a> Shares<'a> {
    /// `proven` tells of each endpoint whether it is.
    pub(super) fn new(request: &'a LeaseRequest, proven: impl Iterator<Item = bool>) -> Self {
        let places = |held: &'a Held| (&*held.tenant, Places { all: held.deliveries, unproven: held.unproven });
        let mut shares = Self {
            left: request.limit,
            left_unproven: request.unproven.min(request.limit),
            proven: 0,
            unproven: 0,
            tenants: request.held.as_deref().map(|held| held.iter().map(places).collect()),
        };
        for is_proven in proven {
            *(if is_proven { &mut shares.proven } else { &mut shares.unproven }) += 1;
        }
        shares
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// How many deliveries the next endpoint may have.
    pub(super) fn next(&mut self, proven: bool, tenant: &str) -> u32 {
        // However many are not proven, they do not want more than they may have together.
        let wanting = self.proven.saturating_add(self.unproven.min(self.left_unproven));
        let even = self.left.div_ceil(wanting.max(1));
        let room = self.room_of(tenant, proven);
        if proven {
            self.proven = self.proven.saturating_sub(1);
            return even.min(room);
        }
        let share = even.min(self.left_unproven.div_ceil(self.unproven.max(1)));
        self.unproven = self.unproven.saturating_sub(1);
        share.min(room)
    }

    /// How many more a tenant may have. An application without tenants has none that could be in another's way.
    fn room_of(&self, tenant: &str, proven: bool) -> u32 {
        match &self.tenants {
            Some(tenants) if !tenant.is_empty() => {
                let has = tenants.get(tenant).copied().unwrap_or_default();
                has.room(self.left, self.left_unproven, proven)
            }
            _ => u32::MAX,
        }
    }

    /// Notes how many it took.
    pub(super) fn took(&mut self, count: u32, proven: bool, tenant: &'a str) {
        self.left = self.left.saturating_sub(count);
        if !proven {
            self.left_unproven = self.left_unproven.saturating_sub(count);
        }
        if let Some(tenants) = &mut self.tenants {
            let has = tenants.entry(tenant).or_default();
            has.all = has.all.saturating_add(count);
            has.unproven = has.unproven.saturating_add(if proven { 0 } else { count });
        }
    }
}

/// The tenants for which nothing is leased, and those for whose unproven endpoints nothing is: what they have waiting must not
/// stand before that of others.
#[cfg(any(feature = "postgres", feature = "sqlite", test))]
pub(super) fn full_tenants(request: &LeaseRequest) -> [Vec<&str>; 2] {
    let held = || request.held.as_deref().into_iter().flatten().filter(|held| !held.tenant.is_empty());
    let full = |proven: bool| {
        let is_full = move |held: &&Held| {
            let has = Places { all: held.deliveries, unproven: held.unproven };
            has.room(request.limit, request.unproven.min(request.limit), proven) == 0
        };
        held().filter(is_full).map(|held| &*held.tenant).collect()
    };
    [full(true), full(false)]
}

/// What the endpoint of a delivery is when the delivery is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Deleted,
    Disabled,
    Enabled,
    /// It has another URL than the one that was attempted.
    Moved,
}

/// The next state of a delivery, and when it is due.
pub(super) fn next_state(end: After, standing: Standing, now: Millis) -> (DeliveryState, Millis) {
    match (end, standing) {
        (After::Delivered, _) => (DeliveryState::Delivered, now),
        (After::Exhausted, _) => (DeliveryState::Exhausted, now),
        // The other URL may want it.
        (After::Gone | After::Refused, Standing::Moved) => (DeliveryState::Pending, now),
        (After::Refused, _) => (DeliveryState::Refused, now),
        (_, Standing::Deleted) => (DeliveryState::Cancelled, now),
        // The endpoint could not be disabled, since its row cannot be read: the next attempt is told the same.
        (After::Gone, Standing::Enabled) => (DeliveryState::Pending, after(now, GONE_AGAIN)),
        (After::Gone, _) | (_, Standing::Disabled) => (DeliveryState::Held, now),
        (After::Retry { wait } | After::Unsent { wait }, Standing::Enabled | Standing::Moved) => {
            (DeliveryState::Pending, after(now, wait))
        }
    }
}

/// When a delivery is tried again that was answered 410, of an endpoint that cannot be read: as late as such an endpoint is.
const GONE_AGAIN: Duration = Duration::from_secs(60);

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
        // In the order in which a tenant is erased.
        DeliveryState::Cancelled => &[DeliveryState::Pending, DeliveryState::Held],
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
pub(super) fn show(record: &mut crate::send::DeliveryRecord, target: Option<DeliveryState>) {
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

/// Which attempt of a delivery it is since it was made or resent, which the schedule of retries counts, and whether it is the one that
/// somebody asked for by resending it.
pub(super) fn round(attempt: u32, resent_after: Option<u32>) -> (u32, bool) {
    let before = resent_after.unwrap_or_default();
    (attempt.saturating_sub(before), resent_after.is_some() && attempt == before.saturating_add(1))
}

/// When what goes before all else is due: before anything that is due by its time.
pub(super) const URGENT_DUE: Millis = 0;

/// The hour of a moment, by which attempts are counted.
pub(super) fn hour(at: Millis) -> u32 {
    u32::try_from(at.div_euclid(60 * 60 * 1000)).unwrap_or_default()
}

/// What waits, of a count and of the moments since when something could have been leased.
pub(super) fn backlog(waiting: u64, ready: Option<Millis>, unserved: Option<Millis>, now: Millis) -> Backlog {
    let since = |at: Option<Millis>| Duration::from_millis(u64::try_from(now - at.unwrap_or(now)).unwrap_or_default());
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).min(BACKLOG_COUNTED);
    Backlog::new(waiting, since(ready), since(unserved))
}

/// When a delivery is due, as it is shown.
pub(super) fn shown_due(due_at: Millis, created_at: Millis) -> SystemTime {
    to_time(if due_at == URGENT_DUE { created_at } else { due_at })
}

/// A message as its row has it.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) struct StoredMessage {
    pub(super) tenant: String,
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) version: Option<String>,
    pub(super) payload: String,
    pub(super) happened_at: Millis,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl StoredMessage {
    /// Makes a message of the row. A version that allows other event types or ids may have written it.
    pub(super) fn read(self) -> Result<Message, BoxError> {
        let payload = RawValue::from_string(self.payload)?;
        let message = Message::new(self.event_type, &payload)?.id(self.id.parse()?).at(to_time(self.happened_at));
        let message = message.tenant(self.tenant);
        Ok(match self.version {
            Some(version) => message.version(version),
            None => message,
        })
    }
}

/// How long an endpoint rests whose row cannot be read: a newer version may soon be back.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) const UNREADABLE_RESTS: Duration = Duration::from_secs(60);

/// How long a delivery waits whose message cannot be read. There may be many of them, and each look is logged.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) const MESSAGE_RESTS: Duration = Duration::from_secs(300);

/// Tells whether one of an endpoint's patterns matches.
pub(super) fn wants<'p>(patterns: impl Iterator<Item = &'p str>, event_type: &str) -> bool {
    let patterns: Vec<_> = patterns.collect();
    pattern::best(&patterns, Subject { whole: event_type, first: None }).is_some()
}

/// Every pattern that matches an event type.
#[cfg(feature = "postgres")]
pub(super) fn matching(event_type: &str) -> Vec<String> {
    let prefixes = pattern::prefixes(event_type).map(|prefix| format!("{prefix}*"));
    [event_type.to_owned(), "*".to_owned()].into_iter().chain(prefixes).collect()
}

/// What tells two messages under one id apart: type, version and payload, as JSON. The order of an object's members means nothing:
/// that of a `HashMap` is another one each time.
pub(super) fn digest(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    let version = message.api_version();
    hash.update([u8::from(version.is_some())]);
    for part in [message.event_type(), version.unwrap_or_default()] {
        hash_text(&mut hash, part);
    }
    hash_json(&mut hash, message.payload(), DEEPEST_SORTED);
    hash.finalize().into()
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

/// Hashes a value with a mark of its kind before it, and what is in an object by its names. Numbers are what is written, so that
/// none loses a digit. What is nested deeper than `levels` is taken as it is written.
fn hash_json(hash: &mut Sha256, value: &RawValue, levels: u32) {
    let text = value.get();
    let kind = text.as_bytes().first().copied().unwrap_or_default();
    match (kind, levels.checked_sub(1)) {
        (b'{', Some(levels)) => {
            if let Ok(Members(mut members)) = serde_json::from_str(text) {
                // Two of one name stay in their order.
                members.sort_by(|one, other| one.0.cmp(&other.0));
                hash.update([kind]);
                hash.update((members.len() as u64).to_be_bytes());
                for (name, value) in members {
                    hash_text(hash, &name);
                    hash_json(hash, value, levels);
                }
                return;
            }
        }
        (b'[', Some(levels)) => {
            if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
                hash.update([kind]);
                hash.update((items.len() as u64).to_be_bytes());
                for item in items {
                    hash_json(hash, item, levels);
                }
                return;
            }
        }
        (b'"', _) => {
            if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(text) {
                hash.update([kind]);
                hash_text(hash, &text);
                return;
            }
        }
        _ => {}
    }
    hash.update([0]);
    hash_text(hash, text);
}

/// The members of an object, in the order in which they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// Each level is read once more for each one above it.
const DEEPEST_SORTED: u32 = 32;

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
    use super::{Health, Leased, Shares, Standing, digest, full_tenants, next_state};
    use crate::send::{
        After, DeliveryState, DisabledReason, EndpointSettings, Fault, Finish, Held, LeaseRequest, LeaseToken, Message,
        RateLimit, Sealed, Style,
    };

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

        // One of before the rest began is late.
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

    /// Each endpoint takes up to `most`.
    fn taken(limit: u32, unproven: u32, endpoints: &[bool], most: u32) -> Vec<u32> {
        let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, limit);
        request.unproven = unproven;
        let mut shares = Shares::new(&request, endpoints.iter().copied());
        let take = |proven: &bool| {
            let count = shares.next(*proven, "").min(most);
            shares.took(count, *proven, "");
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
    fn no_tenant_fills_a_worker_and_many_of_them_leave_room_for_a_newcomer() {
        /// How many places each of several tenants gets that want as many as they can get, one after the other.
        fn fill(tenants: usize, proven: bool) -> (Vec<u32>, LeaseRequest) {
            let names: Vec<_> = (0..tenants).map(|number| format!("tenant {number}")).collect();
            let mut has = vec![0_u32; tenants];
            loop {
                let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, 256 - has.iter().sum::<u32>());
                let places = if proven { request.limit } else { 128 - has.iter().sum::<u32>() };
                request.unproven = places;
                let held =
                    names.iter().zip(&has).map(|(name, has)| Held::new(&**name, *has, if proven { 0 } else { *has }));
                request.held = Some(held.collect());
                let mut shares = Shares::new(&request, (0..tenants * 100).map(|_| proven));
                let mut taken = vec![0; tenants];
                for (place, name) in std::iter::repeat_n(names.iter().enumerate(), 100).flatten() {
                    let count = shares.next(proven, name).min(4);
                    shares.took(count, proven, name);
                    taken[place] += count;
                }
                if taken.iter().sum::<u32>() == 0 {
                    return (has, request);
                }
                has.iter_mut().zip(taken).for_each(|(has, taken)| *has += taken);
            }
        }

        for (tenants, proven, least, most) in
            [(1, true, 120, 128), (2, true, 80, 90), (10, true, 20, 26), (1, false, 56, 64), (4, false, 22, 28)]
        {
            let (has, request) = fill(tenants, proven);
            assert!(has.iter().all(|has| (least..=most).contains(has)), "{tenants}: {has:?}");
            let [full, full_of_unproven] = full_tenants(&request);
            assert_eq!(if proven { full.len() } else { full_of_unproven.len() }, tenants, "{has:?}");
            let mut shares = Shares::new(&request, [proven].into_iter());
            assert!(shares.next(proven, "newcomer") > 0, "{has:?}");
        }
        // Without names there is nobody to be in another's way.
        let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, 8);
        request.held = Some([Held::new("", 248, 0)].into());
        assert_eq!(Shares::new(&request, [true].into_iter()).next(true, ""), 8);
        assert_eq!(full_tenants(&request), [Vec::<&str>::new(), Vec::new()]);
    }

    #[test]
    fn what_cannot_be_sent_now_is_held_and_what_never_can_is_cancelled() {
        for (end, standing, state) in [
            (RETRY, Standing::Enabled, DeliveryState::Pending),
            (RETRY, Standing::Disabled, DeliveryState::Held),
            (RETRY, Standing::Deleted, DeliveryState::Cancelled),
            (After::Gone, Standing::Enabled, DeliveryState::Pending),
            (After::Gone, Standing::Disabled, DeliveryState::Held),
            (After::Delivered, Standing::Deleted, DeliveryState::Delivered),
            (After::Exhausted, Standing::Disabled, DeliveryState::Exhausted),
            (After::Gone, Standing::Moved, DeliveryState::Pending),
            (After::Refused, Standing::Moved, DeliveryState::Pending),
            (RETRY, Standing::Moved, DeliveryState::Pending),
            (After::Exhausted, Standing::Moved, DeliveryState::Exhausted),
        ] {
            assert_eq!(next_state(end, standing, 0).0, state, "{end:?} {standing:?}");
        }
    }

    /// PostgreSQL compares what this gives with an endpoint's patterns.
    #[cfg(feature = "postgres")]
    #[test]
    fn the_patterns_that_match_are_those_by_which_a_type_is_wanted() {
        let patterns = [
            "*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "a.b.c.*", "ab.*", "b.*", "a*", "*.b", "", "a/*", "a/b", "a:*",
            "a/b.*", "a.b:*",
        ];
        for event_type in ["a", "a.b", "a.b.c", "ab.c", "b", "a/b", "a/b.c", "a:b", "a.b:c", "a/b/c"] {
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

    #[test]
    fn payloads_are_compared_as_json() {
        let of = |payload: &str| {
            let payload: Box<serde_json::value::RawValue> = serde_json::from_str(payload).unwrap();
            digest(&Message::new("a", &payload).unwrap())
        };
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(3000), "]".repeat(3000));
        for (one, other, same) in [
            (r#"{"a":1,"b":{"c":[1,2],"d":null}}"#, r#"{ "b": {"d":null, "c":[1, 2]}, "a": 1 }"#, true),
            (r#"{"é":"\u00e9"}"#, r#"{"\u00e9":"é"}"#, true),
            ("[1,2]", "[2,1]", false),
            ("[1,[2]]", "[[1],2]", false),
            ("[[],[]]", "[[[]]]", false),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, false),
            (r#"["null"]"#, "[null]", false),
            (r#"{"a":{}}"#, r#"{"a":[]}"#, false),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, false),
            ("18446744073709551617", "18446744073709551616", false),
            ("1.0", "1", false),
            (&deep("1"), &deep("1"), true),
            (&deep("1"), &deep("2"), false),
        ] {
            assert_eq!(of(one) == of(other), same, "{:.40} {:.40}", one, other);
        }
    }
}
