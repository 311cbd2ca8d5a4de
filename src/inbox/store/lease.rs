use std::{sync::Arc, time::Duration};

use super::records::{Content, InboxId};
use crate::{idempotency::ClaimKey, queue::LeaseToken};

/// What a worker asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboxLease {
    /// Whose events.
    pub consumer: Arc<str>,
    /// Who will hold them.
    pub token: LeaseToken,
    /// For how long.
    pub lease: Duration,
    /// How many at most.
    pub limit: u32,
    /// How often an event may be begun before it is dead.
    pub attempts: u32,
    /// How many events of one provider may be held by whoever asks.
    pub source_limit: Option<u32>,
    /// How many events of each provider are held already by whoever asks, where there is such a limit.
    pub held: Vec<(Arc<str>, u32)>,
}

impl InboxLease {
    /// Creates a request for at most `limit` events.
    pub fn new(consumer: Arc<str>, token: LeaseToken, lease: Duration, limit: u32, attempts: u32) -> Self {
        Self { consumer, token, lease, limit, attempts, source_limit: None, held: Vec::new() }
    }
}

/// What was leased.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InboxLeases {
    /// The events.
    pub events: Vec<LeasedEvent>,
    /// How long until another one of the consumer is due. `None` if none waits for a time.
    pub next_due: Option<Duration>,
    /// How many events were found dead, since they had been begun too often.
    pub exhausted: u64,
}

impl InboxLeases {
    /// Creates what is returned to a worker.
    pub fn new(events: Vec<LeasedEvent>, next_due: Option<Duration>, exhausted: u64) -> Self {
        Self { events, next_due, exhausted }
    }
}

/// An event that a worker holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasedEvent {
    /// Which.
    pub id: InboxId,
    /// What it is known by.
    pub key: ClaimKey,
    /// How often it was begun, with this time.
    pub attempt: u32,
    /// The same since it last came, or was last replayed: what the limit counts.
    pub round_attempt: u32,
    /// Who sent it.
    pub provider: Arc<str>,
    /// What came.
    pub content: Content,
    /// How long ago it was accepted.
    pub age: Duration,
}

impl LeasedEvent {
    /// Creates an event that is given out.
    pub fn new(
        id: InboxId,
        key: ClaimKey,
        (attempt, round_attempt): (u32, u32),
        provider: Arc<str>,
        content: Content,
        age: Duration,
    ) -> Self {
        Self { id, key, attempt, round_attempt, provider, content, age }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store does each of them.
pub enum Ending {
    /// It will never be worked by itself: it becomes a dead letter.
    Dead {
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// The handler gave it up.
    Discarded {
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// It was handled.
    Done,
    /// It is due again after a wait.
    Retry {
        /// How long, from now.
        wait: Duration,
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// The worker stops: it is due at once, and the attempt does not count.
    Returned,
}

impl Ending {
    /// Returns why the event is not done, where a reason was given.
    pub fn reason(&self) -> Option<Arc<str>> {
        match self {
            Self::Dead { reason } | Self::Discarded { reason } | Self::Retry { reason, .. } => Some(Arc::clone(reason)),
            Self::Done | Self::Returned => None,
        }
    }
}
