use std::{sync::Arc, time::Duration};

use super::records::{Content, InboxId};
use crate::{idempotency::ClaimKey, queue::LeaseToken};

/// A worker's request for events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboxLease {
    /// The consumer whose events are leased.
    pub consumer: Arc<str>,
    /// The token that will hold the events.
    pub token: LeaseToken,
    /// The length of the lease.
    pub lease: Duration,
    /// The maximum number of events.
    pub limit: u32,
    /// The number of attempts after which an event is dead.
    pub attempts: u32,
    /// How many events of one provider the worker may hold.
    pub source_limit: Option<u32>,
    /// How many events of each provider the worker holds already, if there is such a limit.
    pub held: Vec<(Arc<str>, u32)>,
}

impl InboxLease {
    /// Creates a request for at most `limit` events.
    pub fn new(consumer: Arc<str>, token: LeaseToken, lease: Duration, limit: u32, attempts: u32) -> Self {
        Self { consumer, token, lease, limit, attempts, source_limit: None, held: Vec::new() }
    }
}

/// The result of a lease.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InboxLeases {
    /// The leased events.
    pub events: Vec<LeasedEvent>,
    /// The time until another event of the consumer is due. `None` if no event waits for a time.
    pub next_due: Option<Duration>,
    /// How many events have become dead, because all their attempts were used up.
    pub exhausted: u64,
}

impl InboxLeases {
    /// Creates the result of a lease.
    pub fn new(events: Vec<LeasedEvent>, next_due: Option<Duration>, exhausted: u64) -> Self {
        Self { events, next_due, exhausted }
    }
}

/// An event that a worker holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasedEvent {
    /// The id of the event.
    pub id: InboxId,
    /// The key of the event.
    pub key: ClaimKey,
    /// The number of this attempt.
    pub attempt: u32,
    /// The number of this attempt since the event last arrived or was replayed, which the limit applies to.
    pub round_attempt: u32,
    /// The name of the provider.
    pub provider: Arc<str>,
    /// The content.
    pub content: Content,
    /// The time since the event was accepted.
    pub age: Duration,
}

impl LeasedEvent {
    /// Creates a leased event.
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
    /// The event becomes a dead letter: it is not retried unless it is replayed.
    Dead {
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// The handler discarded the event.
    Discarded {
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// The event was handled.
    Done,
    /// The event is due again after a wait.
    Retry {
        /// The wait, from now.
        wait: Duration,
        /// Why, for the operator.
        reason: Arc<str>,
    },
    /// The worker stops. The event is due at once, and the attempt does not count.
    Returned,
}

impl Ending {
    /// Returns the reason why the event is not done, if there is one.
    pub fn reason(&self) -> Option<Arc<str>> {
        match self {
            Self::Dead { reason } | Self::Discarded { reason } | Self::Retry { reason, .. } => Some(Arc::clone(reason)),
            Self::Done | Self::Returned => None,
        }
    }
}
