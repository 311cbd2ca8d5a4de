//! The rules of a claim: how a record changes, as pure functions.
//!
//! A store reads the record of a key, lets the rule change it, and writes it back, all in one atomic step: with a lock,
//! or in a transaction that isolates the record. Then it fulfils the contract of
//! [`IdempotencyStore`](super::IdempotencyStore). The stores in memory and in SQLite do so. PostgreSQL and Redis decide
//! inside the server, in their own language; all four are held to the same reference model by `conformance`.
//!
//! Times are [`Millis`] of the store's clock.
//!
//! ```
//! use std::{collections::HashMap, time::Duration};
//! use tower_webhooks::idempotency::{
//!     ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
//!     record::Record,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = ClaimKey::new("/webhooks/stripe", "stripe", None, b"evt_1");
//! let claim = |token| ClaimRequest::new(key, token, Duration::from_secs(60), Fingerprint::of(b"{}"));
//! let (mine, other) = (ClaimToken::random()?, ClaimToken::random()?);
//! let mut records = HashMap::new();
//!
//! records.insert(key, Record::first(&claim(mine), 1000));
//! let record = records.get_mut(&key).unwrap();
//!
//! assert!(matches!(record.claim(&claim(other), 2000), ClaimOutcome::InFlight { .. }));
//! assert_eq!(record.complete(other, &Completion::new(Duration::from_secs(3600)), 2000), Fenced::Stale);
//! assert_eq!(record.complete(mine, &Completion::new(Duration::from_secs(3600)), 2000), Fenced::Applied);
//! assert!(matches!(record.claim(&claim(other), 3000), ClaimOutcome::Done { .. }));
//! # Ok(())
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use super::{ABANDONED_AFTER, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, StoredResponse};
use crate::clock::{Millis, after};

/// The record of a delivery in a store.
///
/// A key without a record was never claimed, or its record was purged: the first claim is [`Record::first`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Whether it is claimed.
    pub state: State,
    /// The token of the owner, or of the last one.
    pub token: ClaimToken,
    /// How often the delivery was claimed since its record was last forgotten.
    pub attempt: u32,
    /// The fingerprint of the body.
    pub fingerprint: Fingerprint,
    /// Pending: when the lease ends. Released: when that was. Done: when it is forgotten.
    pub until: Millis,
    /// The handler's response, if it is stored.
    pub response: Option<Arc<StoredResponse>>,
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store keeps each.
pub enum State {
    /// The delivery was handled.
    Done,
    /// An owner is handling it; if the lease has ended, the owner may have died.
    Pending,
    /// It was released, and can be claimed again.
    Released,
}

impl Record {
    /// Restores a record without a kept response.
    pub fn new(state: State, token: ClaimToken, attempt: u32, fingerprint: Fingerprint, until: Millis) -> Self {
        Self { state, token, attempt, fingerprint, until, response: None }
    }

    /// Creates the record of a key's first claim, which succeeds.
    pub fn first(claim: &ClaimRequest, now: Millis) -> Self {
        Self {
            state: State::Pending,
            token: claim.token,
            attempt: 1,
            fingerprint: claim.fingerprint,
            until: after(now, claim.lease),
            response: None,
        }
    }

    /// Claims the record, if the contract allows it. Otherwise nothing changes.
    pub fn claim(&mut self, claim: &ClaimRequest, now: Millis) -> ClaimOutcome {
        let attempt = match self.state {
            State::Done if self.until > now => {
                return ClaimOutcome::Done { fingerprint: self.fingerprint, response: self.response.clone() };
            }
            State::Done => 1,
            // The answer to the first call was lost, and its owner asks again.
            State::Pending if self.token == claim.token => self.attempt,
            State::Pending if self.until > now => {
                return ClaimOutcome::InFlight {
                    retry_after: Duration::from_millis(self.until.abs_diff(now)),
                    fingerprint: self.fingerprint,
                };
            }
            State::Pending | State::Released => self.attempt.saturating_add(1),
        };

        *self = Self { attempt, ..Self::first(claim, now) };
        ClaimOutcome::Acquired { attempt }
    }

    /// Marks the record as done. A second call changes nothing, so that a retry does not extend the retention.
    pub fn complete(&mut self, token: ClaimToken, completion: &Completion, now: Millis) -> Fenced {
        if self.state == State::Pending && self.token == token {
            self.state = State::Done;
            self.until = after(now, completion.retention);
            self.response.clone_from(&completion.response);
            return Fenced::Applied;
        }
        self.is_done(token, now)
    }

    /// Releases the record, so that it can be claimed again at once.
    pub fn release(&mut self, token: ClaimToken, now: Millis) -> Fenced {
        match self.state {
            State::Pending if self.token == token => {
                self.state = State::Released;
                self.until = now;
                Fenced::Applied
            }
            State::Released if self.token == token => Fenced::Applied,
            _ => Fenced::Stale,
        }
    }

    /// Lets the lease end at another time.
    pub fn renew(&mut self, token: ClaimToken, lease: Duration, now: Millis) -> Fenced {
        if self.state == State::Pending && self.token == token {
            self.until = after(now, lease);
            return Fenced::Applied;
        }
        Fenced::Stale
    }

    /// Returns `Applied` if the record is done by `token`, and not to be forgotten yet.
    pub fn is_done(&self, token: ClaimToken, now: Millis) -> Fenced {
        if self.state == State::Done && self.token == token && self.until > now {
            Fenced::Applied
        } else {
            Fenced::Stale
        }
    }

    /// Returns `true` if the record is not needed any more, so that the purge removes it.
    pub fn is_purgeable(&self, now: Millis) -> bool {
        match self.state {
            State::Done => self.until <= now,
            State::Pending | State::Released => after(self.until, ABANDONED_AFTER) <= now,
        }
    }
}
