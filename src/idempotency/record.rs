//! What becomes of one record of the idempotency contract, as pure functions: the stores that keep their records in this
//! process or in its file decide here, and only store what comes out.
//!
//! PostgreSQL and Redis decide inside the server, in their own language; all four are held to the same reference model by
//! [`conformance`](crate::conformance).

use std::{sync::Arc, time::Duration};

use super::{ABANDONED_AFTER, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, StoredResponse};
use crate::clock::{Millis, after};

/// One record. That there is none is for the caller to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) token: ClaimToken,
    pub(crate) attempt: u32,
    pub(crate) fingerprint: Fingerprint,
    /// Pending: when the lease ends. Released: when that was. Done: when it expires.
    pub(crate) until: Millis,
    pub(crate) response: Option<Arc<StoredResponse>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Done,
    Pending,
    Released,
}

impl Record {
    /// The record of a key's first claim.
    pub(crate) fn first(claim: &ClaimRequest, now: Millis) -> Self {
        Self {
            state: State::Pending,
            token: claim.token,
            attempt: 1,
            fingerprint: claim.fingerprint,
            until: after(now, claim.lease),
            response: None,
        }
    }

    /// Claims the record where the contract allows it.
    pub(crate) fn claim(&mut self, claim: &ClaimRequest, now: Millis) -> ClaimOutcome {
        let attempt = match self.state {
            State::Done if self.until > now => {
                return ClaimOutcome::Done { fingerprint: self.fingerprint, response: self.response.clone() };
            }
            State::Done => 1,
            // The answer to the first call was lost and its holder asks again.
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

    /// Marks the record as done. A second time changes nothing, so that a retry does not prolong the retention.
    pub(crate) fn complete(&mut self, token: ClaimToken, completion: &Completion, now: Millis) -> Fenced {
        if self.state == State::Pending && self.token == token {
            self.state = State::Done;
            self.until = after(now, completion.retention);
            self.response.clone_from(&completion.response);
            return Fenced::Applied;
        }
        self.is_done(token, now)
    }

    /// Gives the record back.
    pub(crate) fn release(&mut self, token: ClaimToken, now: Millis) -> Fenced {
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

    /// Sets the lease anew.
    pub(crate) fn renew(&mut self, token: ClaimToken, lease: Duration, now: Millis) -> Fenced {
        if self.state == State::Pending && self.token == token {
            self.until = after(now, lease);
            return Fenced::Applied;
        }
        Fenced::Stale
    }

    /// Tells whether the record is done by `token`, and still remembered.
    pub(crate) fn is_done(&self, token: ClaimToken, now: Millis) -> Fenced {
        if self.state == State::Done && self.token == token && self.until > now {
            Fenced::Applied
        } else {
            Fenced::Stale
        }
    }

    /// Tells whether nobody needs the record any more.
    pub(crate) fn is_purgeable(&self, now: Millis) -> bool {
        match self.state {
            State::Done => self.until <= now,
            State::Pending | State::Released => after(self.until, ABANDONED_AFTER) <= now,
        }
    }
}
