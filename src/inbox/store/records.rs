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

/// The content of an event: the facts of its head, in a form that only this crate reads, and the body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// The facts, as a JSON object.
    pub head: Arc<str>,
    /// The signed body; for an item of a batch, the item.
    pub body: Bytes,
}

impl Content {
    /// Restores the content that a store has kept.
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

/// A guard against replays: for a while, the same body under another key counts as a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guard {
    /// The key of the body.
    pub key: ClaimKey,
    /// How long the guard holds, from the acceptance of the event.
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
    /// The key that identifies the event.
    pub key: ClaimKey,
    /// The name of the provider.
    pub provider: Arc<str>,
    /// The tenant, if the source of secrets has named one.
    pub tenant: Option<Arc<str>>,
    /// The sender's id.
    pub delivery_id: Option<Arc<str>>,
    /// The event type.
    pub event_type: Option<Arc<str>>,
    /// The order key, which includes the consumer. Events with the same key are handled one after the other.
    pub order_key: Option<ClaimKey>,
    /// The guard against replays, if there is one.
    pub guard: Option<Guard>,
    /// The fingerprint of the body, by which another body under the same key is detected.
    pub fingerprint: Fingerprint,
    /// How long the key is remembered after the event has ended.
    pub retention: Duration,
    /// The content.
    pub content: Content,
}

impl EventDraft {
    /// Creates an event with the fields that every event has.
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
    /// The consumer, which is the name of the inbox.
    pub consumer: Arc<str>,
    /// The events.
    pub events: Vec<EventDraft>,
    /// How many events of the consumer may be pending or working.
    pub limit: Option<u64>,
}

impl AcceptRequest {
    /// Creates a request without a limit.
    pub fn new(consumer: Arc<str>, events: Vec<EventDraft>) -> Self {
        Self { consumer, events, limit: None }
    }
}

/// The result of accepting an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store says which of them it is.
pub enum Accepted {
    /// The event is stored already.
    Duplicate {
        /// Whether the stored event has another body.
        other_body: bool,
    },
    /// The limit is reached. No event of the call is stored.
    Full,
    /// The event was not stored before.
    New,
    /// The event was dead, and is due again with the new content.
    Rearmed {
        /// Whether the dead event had another body.
        other_body: bool,
    },
    /// The same body was stored under another key.
    Replay,
}

/// An event, as it is listed.
///
/// ```
/// use tower_webhooks::{Inbox, error::StoreError, inbox::InboxQuery};
///
/// async fn show(inbox: &Inbox) -> Result<(), StoreError> {
///     for event in inbox.events(InboxQuery::default(), 50).await? {
///         println!("{} {} {:?}: {}", event.id, event.provider, event.event_type, event.state.as_str());
///     }
///     Ok(())
/// }
/// # let _ = show;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboxRecord {
    /// The number of the event.
    pub id: InboxId,
    /// The consumer, which is the name of the inbox.
    pub consumer: Arc<str>,
    /// The key that identifies the event; only if a single event was requested.
    pub key: Option<ClaimKey>,
    /// The name of the provider.
    pub provider: Arc<str>,
    /// The tenant.
    pub tenant: Option<Arc<str>>,
    /// The sender's id.
    pub delivery_id: Option<Arc<str>>,
    /// The event type.
    pub event_type: Option<Arc<str>>,
    /// The state.
    pub state: EventState,
    /// How many attempts were begun.
    pub attempt: u32,
    /// When it was accepted, or accepted again.
    pub accepted_at: SystemTime,
    /// When the event is due, its lease ends, or it has ended. `None` while it waits for another event with its order
    /// key.
    pub due_at: Option<SystemTime>,
    /// The reason why the event is not done.
    pub reason: Option<Arc<str>>,
    /// The content, if it is still kept; only if a single event was requested.
    pub content: Option<Content>,
}

impl InboxRecord {
    /// Creates a record of an event without attempts.
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

/// A filter for lists of events. The default lists all.
///
/// ```
/// use tower_webhooks::{Inbox, error::StoreError, inbox::{EventState, InboxQuery}};
///
/// /// Prints every dead letter, a page at a time.
/// async fn show(inbox: &Inbox) -> Result<(), StoreError> {
///     let mut query = InboxQuery::default().state(EventState::Dead).event_type("invoice.paid");
///     loop {
///         let page = inbox.events(query.clone(), 100).await?;
///         let Some(last) = page.last() else { return Ok(()) };
///         query = query.before(last.id);
///         page.iter().for_each(|event| println!("{}: {:?}", event.id, event.reason));
///     }
/// }
/// # let _ = show;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InboxQuery {
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events of this type.
    pub event_type: Option<Arc<str>>,
    /// Only events of this tenant.
    pub tenant: Option<Arc<str>>,
    /// Only events before this one, which is the last one of the previous page.
    pub before: Option<InboxId>,
}

impl InboxQuery {
    /// Selects events in this state.
    #[must_use]
    pub fn state(mut self, state: EventState) -> Self {
        self.state = Some(state);
        self
    }

    /// Selects events of this type.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<Arc<str>>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Selects events of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Selects events before this one, for the next page.
    #[must_use]
    pub fn before(mut self, id: InboxId) -> Self {
        self.before = Some(id);
        self
    }
}

/// A change of events by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store does both.
pub enum Change {
    /// The events will not be handled.
    Discard,
    /// The events are due again, and their attempts count from 1.
    Replay,
}

/// The events that a change applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store finds each of them.
pub enum Selection {
    /// The dead letters that died at this time or later, starting with the oldest event.
    DiedSince(SystemTime),
    /// The events with these ids.
    Ids(Vec<InboxId>),
}

/// How long content and dead letters are kept after an event has ended. Each event's key has its own retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxRetention {
    /// How long the content of done and discarded events is kept.
    pub content: Duration,
    /// How long dead letters are kept, with their content.
    pub dead: Duration,
}

impl InboxRetention {
    /// Creates a retention with these times.
    pub fn new(content: Duration, dead: Duration) -> Self {
        Self { content, dead }
    }
}

/// The number up to which [`InboxStats`] counts the events of a state, so that counting stays cheap.
pub const STATS_COUNTED: u64 = 100_000;

/// The numbers of a consumer's events. Each is counted up to [`STATS_COUNTED`], which then means that many or more.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{Inbox, error::StoreError};
///
/// async fn is_late(inbox: &Inbox) -> Result<bool, StoreError> {
///     let stats = inbox.stats().await?;
///     println!("{} pending, {} working, {} dead", stats.pending, stats.working, stats.dead);
///     Ok(stats.oldest.is_some_and(|age| age > Duration::from_secs(600)))
/// }
/// # let _ = is_late;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxStats {
    /// How many events are pending.
    pub pending: u64,
    /// How many events are working.
    pub working: u64,
    /// How many events are dead.
    pub dead: u64,
    /// The time since the oldest event that has not ended was accepted.
    pub oldest: Option<Duration>,
}

impl InboxStats {
    /// Creates the numbers.
    pub fn new(pending: u64, working: u64, dead: u64, oldest: Option<Duration>) -> Self {
        Self { pending, working, dead, oldest }
    }
}
