use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    ids::{EndpointId, OutboxId},
    lease::Finish,
};
use crate::send::message::message::Message;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliveryState {
    /// Nobody wants it any more.
    Cancelled,
    /// It was answered with a 2xx.
    Delivered,
    /// Every attempt failed.
    Exhausted,
    /// Its endpoint is disabled.
    Held,
    /// It waits until it is due.
    Pending,
    /// The endpoint does not want it.
    Refused,
    /// A worker is sending it.
    Sending,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Cancelled, Self::Delivered, Self::Exhausted, Self::Held, Self::Pending, Self::Refused, Self::Sending];

    /// The state's name in stores, logs and metrics.
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

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// Its id.
    pub id: OutboxId,
    /// The id of its message.
    pub message: String,
    /// The event type of its message.
    pub event_type: String,
    /// Whose its message is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// Its state.
    pub state: DeliveryState,
    /// How many attempts were begun since it was made.
    pub attempt: u32,
    /// When it was made.
    pub created_at: SystemTime,
    /// When a pending one is due.
    pub due_at: Option<SystemTime>,
}

impl DeliveryRecord {
    /// Makes the record of a pending delivery that was made, and is due, at `created_at`, and has not been attempted. What is
    /// otherwise is set in its fields.
    pub fn new(id: OutboxId, message: &Message, endpoint: EndpointId, created_at: SystemTime) -> Self {
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
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryQuery {
    /// Those of one endpoint.
    pub endpoint: Option<EndpointId>,
    /// Those in one state.
    pub state: Option<DeliveryState>,
    /// Those of one message.
    pub message: Option<String>,
    /// Those of messages of one type.
    pub event_type: Option<String>,
    /// Those older than one.
    pub before: Option<OutboxId>,
}

impl DeliveryQuery {
    /// Wants those of one endpoint.
    #[must_use]
    pub fn endpoint(mut self, id: EndpointId) -> Self {
        self.endpoint = Some(id);
        self
    }

    /// Wants those in one state.
    #[must_use]
    pub fn state(mut self, state: DeliveryState) -> Self {
        self.state = Some(state);
        self
    }

    /// Wants those of the message with this id.
    #[must_use]
    pub fn message(mut self, id: impl Into<String>) -> Self {
        self.message = Some(id.into());
        self
    }

    /// Wants those of messages of this type, which is a name and no pattern.
    #[must_use]
    pub fn event_type(mut self, name: impl Into<String>) -> Self {
        self.event_type = Some(name.into());
        self
    }

    /// Wants those older than one: the last of a page, for the next page.
    #[must_use]
    pub fn before(mut self, id: OutboxId) -> Self {
        self.before = Some(id);
        self
    }
}

/// What an endpoint is to be given that it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recover {
    /// Messages that were dispatched at this moment or later.
    pub since: SystemTime,
    /// Messages that were dispatched before this moment, if there is an end.
    pub until: Option<SystemTime>,
    /// Where the call before this one ended.
    pub after: Option<u64>,
}

impl Recover {
    /// Starts with the messages that were dispatched since a moment.
    pub fn new(since: SystemTime) -> Self {
        Self { since, until: None, after: None }
    }
}

/// What a call of [`recover`](crate::send::OutboxStore::recover) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// How many deliveries it made due.
    pub deliveries: u64,
    /// Where to go on; there is nothing more when it is none.
    pub next: Option<u64>,
}

impl Recovered {
    /// Puts an answer together.
    pub fn new(deliveries: u64, next: Option<u64>) -> Self {
        Self { deliveries, next }
    }
}

/// An attempt as it was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Which attempt it was, from 1 since the delivery was made.
    pub attempt: u32,
    /// Whether somebody asked for it by resending or recovering the delivery.
    pub manual: bool,
    /// When it ended.
    pub ended_at: SystemTime,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// The class of the failure, a word of [`AttemptErrorKind`](crate::send::AttemptErrorKind::as_str); none when it was delivered.
    pub error: Option<String>,
    /// How long it took, in whole milliseconds where the store keeps no less.
    pub duration: Duration,
    /// The start of what the endpoint answered: any bytes at all. Whoever shows it must escape it.
    pub answer: Bytes,
}

impl AttemptRecord {
    /// Makes the record of an attempt that ended at `ended_at` as `finish` tells.
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

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Payloads and answers.
    pub content: Duration,
    /// Messages, deliveries and attempts.
    pub rows: Duration,
}

impl Default for Retention {
    /// 30 days and 90 days.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { content: Duration::from_secs(30 * DAY), rows: Duration::from_secs(90 * DAY) }
    }
}
