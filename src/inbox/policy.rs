//! The rules of an inbox, as pure functions.
//!
//! A store reads what a rule needs, the rule decides, and the store writes the result, all in one transaction. Times
//! are [`Millis`] of the store's clock, which the caller reads once for each transaction.
//!
//! | method | gathers | decides |
//! |---|---|---|
//! | `accept` | a [`Found`] for each event, and how many have not ended | [`accept`], [`Standing::arrived`], [`Standing::rearm`] |
//! | `lease` | the [`Standing`] of what is due | [`room_of_source`], [`Standing::lease`] |
//! | `renew`, `finish`, `finish_in` | the [`Standing`] | [`Standing::renew`], [`Standing::finish`] |
//! | `change` | the [`Standing`] | [`Standing::change`] |
//! | `purge` | the [`Standing`] and the retention of its key | [`Standing::aged`]; a store with indexes may ask them the same |
//!
//! When an event with an order key has ended, and no other event with this key is due, waits for a retry or is being
//! handled, the store takes the first event that waits for this key and [makes it due](Standing::go_on).

use std::{collections::HashSet, time::Duration};

use super::store::{Accepted, Change, Ending, EventDraft, EventState, InboxLease, InboxRetention};
use crate::{
    clock::{Millis, after},
    queue::{Fenced, LeaseToken},
};

/// The due time of an event that waits for another one with its order key.
pub const NEVER: Millis = Millis::MAX;

/// The reason of a dead event each of whose attempts ended because its worker died.
pub const EXHAUSTED: &str = "each attempt ended with its worker";

/// How many events one lease marks as dead at most; the next lease continues.
pub const MOST_EXHAUSTED: u64 = 1000;

/// The state of an event, as the rules read and change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Its state.
    pub state: EventState,
    /// When it is due, its lease ends, or it ended; [`NEVER`] while it waits for another one.
    pub due_at: Millis,
    /// How many attempts were begun.
    pub attempt: u32,
    /// How many attempts had been begun when the event last arrived or was replayed.
    pub spent: u32,
    /// The token that holds the event, or that ended it.
    pub token: Option<LeaseToken>,
}

/// What [`Standing::lease`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // There is no third.
pub enum Leased {
    /// All attempts are used up, and the event is dead.
    Exhausted,
    /// The event is leased.
    Taken {
        /// The number of the attempt since the event last arrived or was replayed, from 1.
        round_attempt: u32,
    },
}

/// What [`Standing::aged`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store does each of them.
pub enum Aged {
    /// Nothing is removed.
    Keep,
    /// The content is removed, and the key is kept.
    WithoutContent,
    /// The event is removed.
    Remove,
}

impl Standing {
    /// Restores the state that a store has kept.
    pub fn new(state: EventState, due_at: Millis, (attempt, spent): (u32, u32), token: Option<LeaseToken>) -> Self {
        Self { state, due_at, attempt, spent, token }
    }

    /// Creates the state of an event that has just arrived. `waits` is `true` if another event with its order key has
    /// not ended.
    pub fn arrived(waits: bool, now: Millis) -> Self {
        Self::new(EventState::Pending, if waits { NEVER } else { now }, (0, 0), None)
    }

    /// Makes an event that has ended pending again; its attempts count from 1.
    pub fn rearm(&mut self, waits: bool, now: Millis) {
        *self = Self { spent: self.attempt, attempt: self.attempt, ..Self::arrived(waits, now) };
    }

    /// Returns `true` if the event may be leased.
    pub fn is_due(&self, now: Millis) -> bool {
        !self.state.has_ended() && self.due_at <= now
    }

    /// Returns `true` if the worker that held this event has not ended it: the event may have killed the worker. A
    /// store leases such an event alone, so that no other event loses an attempt if it kills the next worker.
    pub fn was_abandoned(&self) -> bool {
        self.state == EventState::Working
    }

    /// Leases a due event to a token, or marks it as dead if all attempts are used up.
    pub fn lease(&mut self, token: LeaseToken, lease: Duration, attempts: u32, now: Millis) -> Leased {
        let before = self.attempt.saturating_sub(self.spent);
        if before >= attempts {
            self.end(EventState::Dead, None, now);
            return Leased::Exhausted;
        }
        self.attempt = self.attempt.saturating_add(1);
        (self.state, self.due_at, self.token) = (EventState::Working, held_until(now, lease), Some(token));
        Leased::Taken { round_attempt: before.saturating_add(1) }
    }

    /// Extends the lease.
    pub fn renew(&mut self, token: LeaseToken, lease: Duration, now: Millis) -> Fenced {
        if !self.is_held_by(token) {
            return Fenced::Stale;
        }
        self.due_at = held_until(now, lease);
        Fenced::Applied
    }

    /// Ends an attempt.
    pub fn finish(&mut self, token: LeaseToken, ending: &Ending, now: Millis) -> Fenced {
        if !self.is_held_by(token) {
            return Fenced::Stale;
        }
        match ending {
            Ending::Dead { .. } => self.end(EventState::Dead, Some(token), now),
            Ending::Discarded { .. } => self.end(EventState::Discarded, Some(token), now),
            Ending::Done => self.end(EventState::Done, Some(token), now),
            Ending::Retry { wait, .. } => self.wait(after(now, *wait).min(NEVER - 1)),
            Ending::Returned => {
                self.attempt = self.attempt.saturating_sub(1);
                self.wait(now);
            }
        }
        Fenced::Applied
    }

    /// Returns [`Fenced::Applied`] if this token has ended the event as done.
    pub fn is_done(&self, token: LeaseToken) -> Fenced {
        if self.state == EventState::Done && self.token == Some(token) { Fenced::Applied } else { Fenced::Stale }
    }

    /// Replays or discards the event. `waits` is `true` if another event with its order key has not ended,
    /// `has_content` if the content is still kept. Returns `true` if the event has changed.
    pub fn change(&mut self, change: Change, (waits, has_content): (bool, bool), now: Millis) -> bool {
        match change {
            Change::Replay if self.state.has_ended() && has_content => self.rearm(waits, now),
            Change::Discard if matches!(self.state, EventState::Dead | EventState::Pending) => {
                self.end(EventState::Discarded, None, now);
            }
            Change::Discard | Change::Replay => return false,
        }
        true
    }

    /// Makes an event due that waited for another one with its order key. Returns `true` if the event has changed.
    pub fn go_on(&mut self, now: Millis) -> bool {
        let waited = self.state == EventState::Pending && self.due_at == NEVER;
        if waited {
            self.due_at = now;
        }
        waited
    }

    /// Decides what is kept of the event. `retention` is that of its key.
    pub fn aged(&self, retention: Duration, keep: InboxRetention, now: Millis) -> Aged {
        if !self.state.has_ended() {
            return Aged::Keep;
        }
        let is_dead = self.state == EventState::Dead;
        let content = if is_dead { keep.dead } else { keep.content };
        let whole = if is_dead { keep.dead } else { keep.content.max(retention) };
        if now >= after(self.due_at, whole) {
            Aged::Remove
        } else if now >= after(self.due_at, content) {
            Aged::WithoutContent
        } else {
            Aged::Keep
        }
    }

    fn is_held_by(&self, token: LeaseToken) -> bool {
        self.state == EventState::Working && self.token == Some(token)
    }

    fn wait(&mut self, due_at: Millis) {
        (self.state, self.due_at, self.token) = (EventState::Pending, due_at, None);
    }

    fn end(&mut self, state: EventState, token: Option<LeaseToken>, now: Millis) {
        (self.state, self.due_at, self.token) = (state, now, token);
    }
}

/// Returns how many more events of a provider may be leased, if this call has leased `given` of them already.
pub fn room_of_source(request: &InboxLease, provider: &str, given: u32) -> u32 {
    let Some(limit) = request.source_limit else { return u32::MAX };
    let held = request.held.iter().find(|(source, _)| **source == *provider).map_or(0, |(_, held)| *held);
    limit.saturating_sub(held).saturating_sub(given)
}

/// The end of a lease. It is never [`NEVER`], since such a lease could not be taken over.
fn held_until(now: Millis, lease: Duration) -> Millis {
    after(now, lease).min(NEVER - 1)
}

/// What a store has found about an event before it is stored.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Found {
    /// The stored event with the same key, the retention of that key, and whether the bodies differ.
    pub same: Option<(Standing, Duration, bool)>,
    /// Whether a guard for its body exists under another key.
    pub is_guarded: bool,
}

impl Found {
    /// Creates the facts about an event.
    pub fn new(same: Option<(Standing, Duration, bool)>, is_guarded: bool) -> Self {
        Self { same, is_guarded }
    }
}

/// Returns `true` if the event has to be stored: it is new, or replaces the one that was stored.
pub fn is_stored(answer: &Accepted) -> bool {
    matches!(answer, Accepted::New | Accepted::Rearmed { .. })
}

/// Decides about the events of one call. `unfinished` is the number of the consumer's events that have not ended; it is
/// needed if there is a limit.
///
/// If an event with the same key was found and the answer is [`Accepted::New`], the new event replaces it.
pub fn accept(
    events: &[EventDraft],
    found: impl Fn(usize) -> Found,
    room: Option<(u64, u64)>,
    now: Millis,
) -> Vec<Accepted> {
    let (mut keys, mut bodies) = (HashSet::new(), HashSet::new());
    let mut answers: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let Found { same, is_guarded } = found(index);
            if !keys.insert(event.key) {
                return Accepted::Duplicate { other_body: false };
            }
            let repeats = event.guard.is_some_and(|guard| !bodies.insert(guard.key));
            match same {
                Some((standing, _, other_body)) if standing.state == EventState::Dead => {
                    Accepted::Rearmed { other_body }
                }
                Some((standing, retention, other_body))
                    if !standing.state.has_ended() || now < after(standing.due_at, retention) =>
                {
                    Accepted::Duplicate { other_body }
                }
                _ if is_guarded || repeats => Accepted::Replay,
                _ => Accepted::New,
            }
        })
        .collect();
    let new = answers.iter().filter(|answer| is_stored(answer)).count() as u64;
    if room.is_some_and(|(unfinished, limit)| new > 0 && unfinished.saturating_add(new) > limit) {
        answers.iter_mut().filter(|answer| is_stored(answer)).for_each(|answer| *answer = Accepted::Full);
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Aged, Leased, NEVER, Standing};
    use crate::{
        inbox::store::{Change, Ending, EventState, InboxRetention},
        queue::{Fenced, LeaseToken},
    };

    const MINUTE: Duration = Duration::from_secs(60);

    fn token(byte: u8) -> LeaseToken {
        LeaseToken::from_bytes([byte; 16])
    }

    #[test]
    fn an_event_is_held_by_one_token_until_another_takes_over() {
        let mut event = Standing::arrived(false, 0);
        assert_eq!(event.lease(token(1), MINUTE, 3, 0), Leased::Taken { round_attempt: 1 });
        assert!(!event.is_due(59_999) && event.is_due(60_000), "exactly when the lease ends");
        assert_eq!(event.renew(token(1), MINUTE, 70_000), Fenced::Applied, "nobody else has it");
        assert_eq!(event.lease(token(2), MINUTE, 3, 130_000), Leased::Taken { round_attempt: 2 });

        let before = event;
        assert_eq!(event.finish(token(1), &Ending::Done, 130_001), Fenced::Stale);
        assert_eq!(event.renew(token(1), MINUTE, 130_001), Fenced::Stale);
        assert_eq!(event, before);

        assert_eq!(event.finish(token(2), &Ending::Done, 130_002), Fenced::Applied);
        assert_eq!((event.is_done(token(2)), event.is_done(token(1))), (Fenced::Applied, Fenced::Stale));
        assert_eq!(event.finish(token(2), &Ending::Returned, 130_003), Fenced::Stale, "it has ended");
    }

    #[test]
    fn an_event_that_was_begun_too_often_is_dead_and_a_replay_begins_again() {
        let mut event = Standing::arrived(false, 0);
        for attempt in 1..=2 {
            assert_eq!(event.lease(token(1), MINUTE, 2, 0), Leased::Taken { round_attempt: attempt });
        }
        assert_eq!(event.lease(token(1), MINUTE, 2, 60_000), Leased::Exhausted);
        assert_eq!((event.state, event.attempt, event.due_at), (EventState::Dead, 2, 60_000));

        assert!(!event.change(Change::Replay, (false, false), 0), "without what came there is nothing to work");
        assert!(event.change(Change::Replay, (false, true), 70_000));
        assert_eq!(event.lease(token(1), MINUTE, 2, 70_000), Leased::Taken { round_attempt: 1 });
        assert_eq!(event.attempt, 3);
        assert!(!event.change(Change::Discard, (false, true), 0), "it is being worked");
        let _ = event.finish(token(1), &Ending::Returned, 80_000);
        assert_eq!((event.attempt, event.due_at), (2, 80_000));
    }

    #[test]
    fn no_wait_reaches_never() {
        let mut event = Standing::arrived(true, 5);
        assert!(!event.is_due(NEVER - 1) && event.go_on(7) && !event.go_on(8));
        assert_eq!(event.due_at, 7);
        let _ = event.lease(token(1), Duration::MAX, 1, 7);
        assert!(event.due_at < NEVER);
        let _ = event.finish(token(1), &Ending::Retry { wait: Duration::MAX, reason: "".into() }, 7);
        assert!(event.due_at < NEVER && !event.go_on(9));
    }

    #[test]
    fn what_has_ended_loses_its_content_and_then_its_key() {
        let keep = InboxRetention::new(MINUTE * 2, MINUTE * 9);
        let mut event = Standing::arrived(false, 0);
        assert_eq!(event.aged(MINUTE, keep, NEVER), Aged::Keep);
        event.state = EventState::Done;
        let aged = |retention, minutes: i64| event.aged(retention, keep, minutes * 60_000);
        assert_eq!([1, 2, 3].map(|at| aged(MINUTE * 3, at)), [Aged::Keep, Aged::WithoutContent, Aged::Remove]);
        assert_eq!([1, 2].map(|at| aged(MINUTE, at)), [Aged::Keep, Aged::Remove]);
        event.state = EventState::Dead;
        let aged = |minutes: i64| event.aged(MINUTE, keep, minutes * 60_000);
        assert_eq!([8, 9].map(aged), [Aged::Keep, Aged::Remove]);
    }
}
