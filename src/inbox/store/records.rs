use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::state::EventState;
use crate::idempotency::{ClaimKey, Fingerprint};

/// The number of an event in its store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxId(u64);

impl InboxId {
    /// Restores an id from its number.
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for InboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for InboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboxId({})", self.0)
    }
}

impl FromStr for InboxId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What came: the facts of its head, written by this crate and read by it alone, and the body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// JSON, in which every fact has its name.
    pub head: Arc<str>,
    /// The signed body; of an item of a batch, the item.
    pub body: Bytes,
}

impl Content {
    /// Restores what a store has kept.
    pub fn new(head: Arc<str>, body: Bytes) -> Self {
        Self { head, body }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What customers sent has no place in a log.
        f.debug_struct("Content").field("body_length", &self.body.len()).finish_non_exhaustive()
    }
}

/// A body that counts as a replay under any other key, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guard {
    /// The key of the body.
    pub key: ClaimKey,
    /// For how long, from its acceptance.
    pub window: Duration,
}

impl Guard {
    /// Creates a guard.
    pub fn new(key: ClaimKey, window: Duration) -> Self {
        Self { key, window }
    }
}

/// An event to be stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventDraft {
    /// What it is known by.
    pub key: ClaimKey,
    /// Who sent it.
    pub provider: Arc<str>,
    /// Whose it is.
    pub tenant: Option<Arc<str>>,
    /// The sender's id.
    pub delivery_id: Option<Arc<str>>,
    /// What happened.
    pub event_type: Option<Arc<str>>,
    /// Events with one order key, which is made of the consumer too, are worked one after the other.
    pub order_key: Option<ClaimKey>,
    /// What keeps its body from being stored under another key.
    pub guard: Option<Guard>,
    /// What tells its body from another one under the same key.
    pub fingerprint: Fingerprint,
    /// How long its key is remembered after it has ended.
    pub retention: Duration,
    /// What came.
    pub content: Content,
}

impl EventDraft {
    /// Creates an event with what every one has.
    pub fn new(key: ClaimKey, provider: Arc<str>, retention: Duration, content: Content) -> Self {
        let fingerprint = Fingerprint::of(&content.body);
        Self {
            key,
            provider,
            tenant: None,
            delivery_id: None,
            event_type: None,
            order_key: None,
            guard: None,
            fingerprint,
            retention,
            content,
        }
    }
}

/// Events that are stored together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AcceptRequest {
    /// Whose they are.
    pub consumer: Arc<str>,
    /// The events.
    pub events: Vec<EventDraft>,
    /// How many events of the consumer may wait or be worked.
    pub limit: Option<u64>,
}

impl AcceptRequest {
    /// Creates a request without a limit.
    pub fn new(consumer: Arc<str>, events: Vec<EventDraft>) -> Self {
        Self { consumer, events, limit: None }
    }
}

/// What became of an event that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store says which of them it is.
pub enum Accepted {
    /// It is there already.
    Duplicate {
        /// Whether it came with another body then.
        other_body: bool,
    },
    /// There is no room for it. Nothing of its call is stored.
    Full,
    /// It was not there.
    New,
    /// It was dead, and is due again, with what came now.
    Rearmed {
        /// Whether that is another body than the one that died.
        other_body: bool,
    },
    /// Its body was stored under another key.
    Replay,
}

/// An event as it is shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboxRecord {
    /// Its number.
    pub id: InboxId,
    /// Whose it is.
    pub consumer: Arc<str>,
    /// What it is known by, of a single event.
    pub key: Option<ClaimKey>,
    /// Who sent it.
    pub provider: Arc<str>,
    /// The tenant.
    pub tenant: Option<Arc<str>>,
    /// The sender's id.
    pub delivery_id: Option<Arc<str>>,
    /// What happened.
    pub event_type: Option<Arc<str>>,
    /// How it is doing.
    pub state: EventState,
    /// How often it was begun.
    pub attempt: u32,
    /// When it was accepted, or accepted again.
    pub accepted_at: SystemTime,
    /// When it is due, its lease ends, or it ended. `None` while it waits for another with its order key.
    pub due_at: Option<SystemTime>,
    /// Why it is not done.
    pub reason: Option<Arc<str>>,
    /// What came, of a single event whose content is still kept.
    pub content: Option<Content>,
}

impl InboxRecord {
    /// Creates a record of an event that was never begun.
    pub fn new(id: InboxId, consumer: Arc<str>, provider: Arc<str>, accepted_at: SystemTime) -> Self {
        Self {
            id,
            consumer,
            key: None,
            provider,
            tenant: None,
            delivery_id: None,
            event_type: None,
            state: EventState::Pending,
            attempt: 0,
            accepted_at,
            due_at: Some(accepted_at),
            reason: None,
            content: None,
        }
    }
}

/// Which events are listed. The default lists all.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InboxQuery {
    /// In this state.
    pub state: Option<EventState>,
    /// Of this type.
    pub event_type: Option<Arc<str>>,
    /// Of this tenant.
    pub tenant: Option<Arc<str>>,
    /// Before this one: the last of the page before.
    pub before: Option<InboxId>,
}

impl InboxQuery {
    /// Lists those in this state.
    #[must_use]
    pub fn state(mut self, state: EventState) -> Self {
        self.state = Some(state);
        self
    }

    /// Lists those of this type.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<Arc<str>>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Lists those of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Goes on after this one.
    #[must_use]
    pub fn before(mut self, id: InboxId) -> Self {
        self.before = Some(id);
        self
    }
}

/// What somebody does to events by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store does both.
pub enum Change {
    /// They will not be worked.
    Discard,
    /// They are due again, and their attempts count from 1.
    Replay,
}

/// To which events it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store finds each of them.
pub enum Selection {
    /// The dead letters that died at this time or later, the oldest event first.
    DiedSince(SystemTime),
    /// These.
    Ids(Vec<InboxId>),
}

/// How long events are kept after they have ended, in addition to the retention of each one's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxRetention {
    /// The content of those that are done or discarded.
    pub content: Duration,
    /// Dead letters, with their content.
    pub dead: Duration,
}

impl InboxRetention {
    /// Keeps content, and dead letters, for so long.
    pub fn new(content: Duration, dead: Duration) -> Self {
        Self { content, dead }
    }
}

/// How far [`InboxStats`] counts the events of a state, so that to count costs little however many there are.
pub const STATS_COUNTED: u64 = 100_000;

/// What there is of a consumer. None of the numbers is larger than [`STATS_COUNTED`]: that many are that many or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxStats {
    /// How many wait.
    pub pending: u64,
    /// How many are being worked.
    pub working: u64,
    /// How many are dead.
    pub dead: u64,
    /// How long ago the oldest that has not ended was accepted.
    pub oldest: Option<Duration>,
}

impl InboxStats {
    /// Creates the figures.
    pub fn new(pending: u64, working: u64, dead: u64, oldest: Option<Duration>) -> Self {
        Self { pending, working, dead, oldest }
    }
}
