use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    ids::{EndpointId, SentDeliveryId},
    lease::Finish,
};
use crate::send::message::message::Message;

/// The state of a delivery.
///
/// ```
/// use tower_webhooks::send::DeliveryState;
///
/// for state in DeliveryState::ALL {
///     assert_eq!(DeliveryState::from_name(state.as_str()), Some(*state));
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliveryState {
    /// It was cancelled.
    Cancelled,
    /// The endpoint answered with a 2xx.
    Delivered,
    /// Every attempt failed.
    Exhausted,
    /// Its endpoint is disabled.
    Held,
    /// It waits until it is due.
    Pending,
    /// The endpoint rejected it, and it is not tried again.
    Refused,
    /// A worker is sending it.
    Sending,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Cancelled, Self::Delivered, Self::Exhausted, Self::Held, Self::Pending, Self::Refused, Self::Sending];

    /// Returns the state's name in stores, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Sending => "sending",
        }
    }

    /// Returns the state with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

/// A stored delivery.
///
/// ```
/// use tower_webhooks::send::{DeliveryQuery, DeliveryState, SendError, Tenant};
///
/// /// Sends all refused deliveries of a tenant again.
/// async fn resend_refused(acme: &Tenant) -> Result<(), SendError> {
///     for delivery in acme.deliveries(DeliveryQuery::default().state(DeliveryState::Refused), 100).await? {
///         println!("{} {} after {} attempts", delivery.id, delivery.event_type, delivery.attempt);
///         acme.resend(delivery.id).await?;
///     }
///     Ok(())
/// }
/// # let _ = resend_refused;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// Its id.
    pub id: SentDeliveryId,
    /// The id of its message.
    pub message: String,
    /// The event type of its message.
    pub event_type: String,
    /// The tenant of its message, which is empty in an application without tenants.
    pub tenant: Arc<str>,
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// Its state.
    pub state: DeliveryState,
    /// The number of attempts that were begun since it was made.
    pub attempt: u32,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it is due, if it is pending.
    pub due_at: Option<SystemTime>,
}

impl DeliveryRecord {
    /// Creates the record of a pending delivery that was made, and is due, at `created_at`, and has not been attempted. Set other
    /// values in its fields.
    pub fn new(id: SentDeliveryId, message: &Message, endpoint: EndpointId, created_at: SystemTime) -> Self {
        Self {
            id,
            message: message.message_id().to_string(),
            event_type: message.event_type().to_owned(),
            tenant: message.tenant_name().unwrap_or_default().into(),
            endpoint,
            state: DeliveryState::Pending,
            attempt: 0,
            created_at,
            due_at: Some(created_at),
        }
    }
}

/// Which deliveries to read.
///
/// ```
/// use tower_webhooks::send::{DeliveryQuery, DeliveryState};
///
/// let given_up = DeliveryQuery::default().state(DeliveryState::Exhausted).event_type("order.completed");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryQuery {
    /// Only deliveries of this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries of this message.
    pub message: Option<String>,
    /// Only deliveries of messages of this type.
    pub event_type: Option<String>,
    /// Only deliveries older than this one.
    pub before: Option<SentDeliveryId>,
}

impl DeliveryQuery {
    /// Selects the deliveries of one endpoint.
    #[must_use]
    pub fn endpoint(mut self, id: EndpointId) -> Self {
        self.endpoint = Some(id);
        self
    }

    /// Selects the deliveries in one state.
    #[must_use]
    pub fn state(mut self, state: DeliveryState) -> Self {
        self.state = Some(state);
        self
    }

    /// Selects the deliveries of the message with this id.
    #[must_use]
    pub fn message(mut self, id: impl Into<String>) -> Self {
        self.message = Some(id.into());
        self
    }

    /// Selects the deliveries of messages of this type, which is a name and not a pattern.
    #[must_use]
    pub fn event_type(mut self, name: impl Into<String>) -> Self {
        self.event_type = Some(name.into());
        self
    }

    /// Selects the deliveries older than this one. With the last one of a page, this selects the next page.
    #[must_use]
    pub fn before(mut self, id: SentDeliveryId) -> Self {
        self.before = Some(id);
        self
    }
}

/// Which missed messages an endpoint is to get.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::send::Recover;
///
/// let outage = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
/// let mut recover = Recover::new(outage);
/// recover.until = Some(outage + Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recover {
    /// Messages that were dispatched at this time or later.
    pub since: SystemTime,
    /// Messages that were dispatched before this time, if there is an end.
    pub until: Option<SystemTime>,
    /// Where the previous call ended.
    pub after: Option<u64>,
}

impl Recover {
    /// Creates a request for the messages that were dispatched since a time.
    pub fn new(since: SystemTime) -> Self {
        Self { since, until: None, after: None }
    }
}

/// The result of [`recover`](crate::send::OutboxLog::recover).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// The number of deliveries that it made due.
    pub deliveries: u64,
    /// Where the next call has to continue. `None` if nothing is left.
    pub next: Option<u64>,
}

impl Recovered {
    /// Creates the result from its parts.
    pub fn new(deliveries: u64, next: Option<u64>) -> Self {
        Self { deliveries, next }
    }
}

/// A stored attempt.
///
/// ```
/// use tower_webhooks::send::{Dispatcher, SendError, SentDeliveryId};
///
/// async fn show(webhooks: &Dispatcher, delivery: SentDeliveryId) -> Result<(), SendError> {
///     for attempt in webhooks.attempts(delivery).await? {
///         let outcome = attempt.error.as_deref().unwrap_or("delivered");
///         println!("{}: {outcome}, status {:?}, in {:?}", attempt.attempt, attempt.status, attempt.duration);
///     }
///     Ok(())
/// }
/// # let _ = show;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The number of the attempt, from 1 since the delivery was made.
    pub attempt: u32,
    /// Whether the attempt was requested, by resending or recovering the delivery.
    pub manual: bool,
    /// When it ended.
    pub ended_at: SystemTime,
    /// The status that the endpoint answered, if it did.
    pub status: Option<u16>,
    /// The reason of the failure, a word of [`AttemptErrorKind`](crate::send::AttemptErrorKind::as_str). `None` if the
    /// attempt delivered.
    pub error: Option<String>,
    /// How long it took. A store may keep whole milliseconds only.
    pub duration: Duration,
    /// The start of the body that the endpoint answered. It can be any bytes: escape it before you show it.
    pub answer: Bytes,
}

impl AttemptRecord {
    /// Creates the record of an attempt that ended at `ended_at` with the result `finish`.
    pub fn new(attempt: u32, ended_at: SystemTime, finish: Finish) -> Self {
        Self {
            attempt,
            manual: false,
            ended_at,
            status: finish.status,
            error: finish.error.map(str::to_owned),
            duration: finish.duration,
            answer: finish.answer,
        }
    }
}

/// How long a store keeps what has ended.
///
/// ```
/// use tower_webhooks::send::Retention;
///
/// assert!(Retention::default().content < Retention::default().rows);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How long payloads and answers are kept.
    pub content: Duration,
    /// How long messages, deliveries and attempts are kept.
    pub rows: Duration,
}

impl Default for Retention {
    /// 30 days and 90 days.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { content: Duration::from_secs(30 * DAY), rows: Duration::from_secs(90 * DAY) }
    }
}
