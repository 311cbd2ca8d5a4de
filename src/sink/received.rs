use std::{fmt, sync::Arc, time::Duration};

use super::{hold::SinkHold, message::read};
use crate::{idempotency::ClaimKey, inbox::Content};

/// A message that a worker has received.
pub struct ReceivedMessage {
    pub(super) name: Arc<str>,
    /// `Err` says why it cannot be read.
    pub(super) record: Result<(ClaimKey, Content), Arc<str>>,
    pub(super) attempt: u32,
    pub(super) age: Duration,
    pub(super) hold: Box<dyn SinkHold>,
}

impl ReceivedMessage {
    /// Creates a message from its parts. `name` identifies it in logs, such as its number in the queue.
    pub fn new(name: impl Into<Arc<str>>, key: ClaimKey, content: Content, hold: Box<dyn SinkHold>) -> Self {
        Self::of(name.into(), Ok((key, content)), hold)
    }

    /// Creates a message from the bytes that [`SinkMessage::to_bytes`](super::SinkMessage::to_bytes) has written.
    /// Anything else becomes a dead letter.
    pub fn from_bytes(name: impl Into<Arc<str>>, bytes: &[u8], hold: Box<dyn SinkHold>) -> Self {
        Self::of(name.into(), read(bytes).ok_or_else(|| "it is not a message of a hand-off".into()), hold)
    }

    /// Creates a message that becomes a dead letter, since it cannot be read.
    pub fn unreadable(name: impl Into<Arc<str>>, reason: impl Into<Arc<str>>, hold: Box<dyn SinkHold>) -> Self {
        Self::of(name.into(), Err(reason.into()), hold)
    }

    fn of(name: Arc<str>, record: Result<(ClaimKey, Content), Arc<str>>, hold: Box<dyn SinkHold>) -> Self {
        Self { name, record, attempt: 1, age: Duration::ZERO, hold }
    }

    /// Sets how often the message was delivered, including this time; 1 by default.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt.max(1);
        self
    }

    /// Sets how long ago the message was passed on, for metrics.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }
}

impl fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMessage")
            .field("name", &self.name)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
