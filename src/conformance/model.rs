use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::harness::{Harness, Purge};
use crate::{
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyStore,
        StoredResponse,
    },
};

/// Days of the [`Model`]'s time. A day is so long that no test run lasts into the next one.
pub type Units = u32;

/// A caller that claims the key: the number of its token.
pub type Owner = u8;

/// One call on the one key of a [`Model`], or the passing of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // A store has these methods; a test must be able to name them all.
pub enum Step {
    /// This number of days passes.
    Advance(Units),
    /// [`claim`](IdempotencyStore::claim), for this number of days.
    Claim(Owner, Units),
    /// [`complete`](IdempotencyStore::complete), kept for this number of days.
    Complete(Owner, Units),
    /// [`is_done`](IdempotencyStore::is_done).
    IsDone(Owner),
    /// [`purge`](IdempotencyStore::purge), until nothing is left to remove.
    Purge,
    /// [`release`](IdempotencyStore::release).
    Release(Owner),
    /// [`renew`](IdempotencyStore::renew), to this number of days from now.
    Renew(Owner, Units),
}

/// The answer to a [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // As `Step`.
pub enum Answer {
    /// The claim is the caller's, as this attempt.
    Acquired(u32),
    /// The key is done, by this owner.
    Done(Owner),
    /// The call was the owner's, or it was not.
    Fenced(Fenced),
    /// This owner holds the key for this number of days.
    InFlight(Owner, Units),
    /// The step has no answer.
    Nothing,
}

/// The contract of [`IdempotencyStore`] for one key, implemented directly from its text. It says what a store must
/// answer.
///
/// It shares no code with the stores. Its states are few, so a test can visit all of them.
///
/// ```
/// use tower_webhooks::{conformance::{Answer, Model, Step}, idempotency::Fenced};
///
/// let mut model = Model::default();
///
/// assert_eq!(model.apply(Step::Claim(1, 2)), Answer::Acquired(1));
/// assert_eq!(model.apply(Step::Claim(2, 2)), Answer::InFlight(1, 2));
/// model.apply(Step::Advance(2));
/// assert_eq!(model.apply(Step::Claim(2, 2)), Answer::Acquired(2));
/// assert_eq!(model.apply(Step::Complete(1, 7)), Answer::Fenced(Fenced::Stale));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Model {
    record: Option<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    owner: Owner,
    attempt: u32,
    state: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// Done, and kept for this number of days, which is never 0.
    Done { left: Units },
    /// Claimed, and the lease lasts for this number of days, which is never 0.
    Held { left: Units },
    /// Claimed, but the lease ended this number of days ago.
    Lapsed { since: Units },
    /// Released this number of days ago.
    Released { since: Units },
}

impl Model {
    /// Applies a step, and returns the answer that a store must give.
    pub fn apply(&mut self, step: Step) -> Answer {
        match step {
            Step::Advance(days) => self.advance(days),
            Step::Claim(owner, lease) => self.claim(owner, lease),
            Step::Complete(owner, retention) => self.complete(owner, retention),
            Step::IsDone(owner) => self.is_done(owner),
            Step::Purge => self.purge(),
            Step::Release(owner) => self.release(owner),
            Step::Renew(owner, lease) => self.renew(owner, lease),
        }
    }

    fn advance(&mut self, days: Units) -> Answer {
        self.record = self.record.take().and_then(|entry| {
            let state = match entry.state {
                Phase::Done { left } if left > days => Phase::Done { left: left - days },
                // "Expires; from then on it counts as no record."
                Phase::Done { .. } => return None,
                Phase::Held { left } => held(left, days),
                Phase::Lapsed { since } => Phase::Lapsed { since: aged(since, days) },
                Phase::Released { since } => Phase::Released { since: aged(since, days) },
            };
            Some(Entry { state, ..entry })
        });
        Answer::Nothing
    }

    fn claim(&mut self, owner: Owner, lease: Units) -> Answer {
        let attempt = match &self.record {
            None => 1,
            Some(entry) => match entry.state {
                Phase::Done { .. } => return Answer::Done(entry.owner),
                Phase::Held { .. } | Phase::Lapsed { .. } if entry.owner == owner => entry.attempt,
                Phase::Held { left } => return Answer::InFlight(entry.owner, left),
                Phase::Lapsed { .. } | Phase::Released { .. } => entry.attempt + 1,
            },
        };
        self.record = Some(Entry { owner, attempt, state: held(lease, 0) });
        Answer::Acquired(attempt)
    }

    fn complete(&mut self, owner: Owner, retention: Units) -> Answer {
        match self.owned(owner) {
            Some(entry) => match entry.state {
                Phase::Held { .. } | Phase::Lapsed { .. } => {
                    if retention == 0 {
                        self.record = None;
                    } else {
                        entry.state = Phase::Done { left: retention };
                    }
                    Answer::Fenced(Fenced::Applied)
                }
                Phase::Done { .. } => Answer::Fenced(Fenced::Applied),
                Phase::Released { .. } => Answer::Fenced(Fenced::Stale),
            },
            None => Answer::Fenced(Fenced::Stale),
        }
    }

    fn is_done(&mut self, owner: Owner) -> Answer {
        match self.owned(owner) {
            Some(Entry { state: Phase::Done { .. }, .. }) => Answer::Fenced(Fenced::Applied),
            _ => Answer::Fenced(Fenced::Stale),
        }
    }

    fn purge(&mut self) -> Answer {
        let abandoned = self.record.as_ref().is_some_and(|entry| match entry.state {
            Phase::Done { .. } | Phase::Held { .. } => false,
            Phase::Lapsed { since } | Phase::Released { since } => since >= ABANDONED_DAYS,
        });
        if abandoned {
            self.record = None;
        }
        Answer::Nothing
    }

    fn release(&mut self, owner: Owner) -> Answer {
        match self.owned(owner) {
            Some(entry) => match entry.state {
                Phase::Held { .. } | Phase::Lapsed { .. } => {
                    entry.state = Phase::Released { since: 0 };
                    Answer::Fenced(Fenced::Applied)
                }
                Phase::Released { .. } => Answer::Fenced(Fenced::Applied),
                Phase::Done { .. } => Answer::Fenced(Fenced::Stale),
            },
            None => Answer::Fenced(Fenced::Stale),
        }
    }

    fn renew(&mut self, owner: Owner, lease: Units) -> Answer {
        match self.owned(owner) {
            Some(entry @ Entry { state: Phase::Held { .. } | Phase::Lapsed { .. }, .. }) => {
                entry.state = held(lease, 0);
                Answer::Fenced(Fenced::Applied)
            }
            _ => Answer::Fenced(Fenced::Stale),
        }
    }

    fn owned(&mut self, owner: Owner) -> Option<&mut Entry> {
        self.record.as_mut().filter(|entry| entry.owner == owner)
    }
}

fn held(left: Units, days: Units) -> Phase {
    if left > days { Phase::Held { left: left - days } } else { Phase::Lapsed { since: aged(0, days - left) } }
}

/// A record that is abandoned already does not get older.
fn aged(since: Units, days: Units) -> Units {
    since.saturating_add(days).min(ABANDONED_DAYS)
}

/// [`ABANDONED_AFTER`](crate::idempotency::ABANDONED_AFTER), by the contract's text.
const ABANDONED_DAYS: Units = 7;

/// Applies `steps` to a new key of the store and to the [`Model`], and compares each answer.
///
/// Let a property-testing crate choose the steps: any sequence is legal, and such a crate finds the shortest one that
/// fails.
///
/// # Panics
/// If the store's answer differs from the model's; the message contains the steps up to there.
///
/// # Examples
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use tower_webhooks::{clock::ClockOffset, conformance::{OffsetHarness, Step, check_steps}, store::MemoryStore};
///
/// let offset = ClockOffset::default();
/// let store = MemoryStore::with_capacity_and_offset(10, offset.clone());
/// let harness = OffsetHarness::new(store, offset);
///
/// check_steps(&harness, &[Step::Claim(1, 1), Step::Advance(1), Step::Claim(2, 1), Step::Release(1)]).await;
/// # }
/// ```
pub async fn check_steps<H: Harness>(harness: &H, steps: &[Step]) {
    let case = match Case::new(harness) {
        Ok(case) => case,
        Err(error) => panic!("the operating system has no randomness to give: {error}"),
    };
    let mut model = Model::default();

    for (index, step) in steps.iter().enumerate() {
        // A store that purges by itself uses a clock that no test can set.
        if *step == Step::Purge && harness.purge() == Purge::ByItself {
            continue;
        }
        let expected = model.apply(*step);
        match case.apply(*step).await {
            Ok(answer) if answer == expected => {}
            other => panic!("after {:?} the store must say {expected:?}, and says {other:?}", &steps[..=index]),
        }
    }
}

/// Converts the model's values to a store's, and back.
struct Case<'a, H: Harness> {
    harness: &'a H,
    store: Arc<H::Store>,
    key: ClaimKey,
    salt: [u8; 16],
}

impl<'a, H: Harness> Case<'a, H> {
    fn new(harness: &'a H) -> Result<Self, getrandom::Error> {
        let key = ClaimKey::from_bytes(ClaimToken::random()?.to_bytes());
        Ok(Self { harness, store: harness.store(), key, salt: ClaimToken::random()?.to_bytes() })
    }

    async fn apply(&self, step: Step) -> Result<Answer, StoreError> {
        let (store, key) = (&self.store, self.key);
        Ok(match step {
            Step::Advance(by) => {
                self.harness.advance(days(by)).await;
                Answer::Nothing
            }
            Step::Claim(owner, lease) => {
                let claim = ClaimRequest::new(key, self.token(owner), days(lease), fingerprint(owner));
                answer(&store.claim(claim).await?)
            }
            Step::Complete(owner, retention) => {
                let completion = Completion::new(days(retention)).response(response(owner));
                Answer::Fenced(store.complete(key, self.token(owner), completion).await?)
            }
            Step::IsDone(owner) => Answer::Fenced(store.is_done(key, self.token(owner)).await?),
            Step::Purge => {
                while store.purge(100).await? > 0 {}
                Answer::Nothing
            }
            Step::Release(owner) => Answer::Fenced(store.release(key, self.token(owner)).await?),
            Step::Renew(owner, lease) => Answer::Fenced(store.renew(key, self.token(owner), days(lease)).await?),
        })
    }

    fn token(&self, owner: Owner) -> ClaimToken {
        let mut bytes = self.salt;
        bytes[0] = owner;
        ClaimToken::from_bytes(bytes)
    }
}

/// # Panics
/// If a record holds something that no owner stored, which the model cannot express.
fn answer(outcome: &ClaimOutcome) -> Answer {
    let by = |of: &Fingerprint| match (0..=Owner::MAX).find(|owner| fingerprint(*owner) == *of) {
        Some(owner) => owner,
        None => panic!("no claim had the fingerprint {of:?}"),
    };
    match outcome {
        ClaimOutcome::Acquired { attempt } => Answer::Acquired(*attempt),
        ClaimOutcome::Done { fingerprint, response: kept } => {
            let owner = by(fingerprint);
            assert_eq!(*kept, Some(response(owner)), "the response is not that of owner {owner}");
            Answer::Done(owner)
        }
        ClaimOutcome::InFlight { retry_after, fingerprint } => {
            // A day that has begun counts as a whole day.
            let left = retry_after.as_secs_f64() / days(1).as_secs_f64();
            Answer::InFlight(by(fingerprint), left.ceil() as Units)
        }
    }
}

fn days(days: Units) -> Duration {
    Duration::from_secs(24 * 60 * 60) * days
}

fn fingerprint(owner: Owner) -> Fingerprint {
    Fingerprint::from_bytes([owner; 8])
}

fn response(owner: Owner) -> Arc<StoredResponse> {
    Arc::new(StoredResponse::new(200 + u16::from(owner), None, Bytes::from(vec![owner; owner.into()])))
}
