use async_nats::{
    HeaderMap, HeaderValue,
    connection::State,
    jetstream::{
        context::{PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    error::{code, unavailable},
    jet_stream::{JetStream, Shared},
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    sink::{PassedOn, Sink, SinkMessage},
};

/// The server reads the id from the header with exactly this name.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The server refuses the message if it would go to another stream.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub(super) const KEY: &str = "Webhook-Key";
pub(super) const HEAD: &str = "Webhook-Head";
pub(super) const DEAD_REASON: &str = "Webhook-Dead-Reason";
pub(super) const ATTEMPTS: &str = "Webhook-Attempts";

/// The additional bytes of a dead letter: its reason, its attempts and a longer id.
const ROOM_FOR_DEATH: usize = 1024;
const LONGEST_REASON: usize = 600;
/// The limit for all headers of one message together, because their length has two bytes.
const LARGEST_HEADERS: usize = 65_535;

impl Sink for JetStream {
    fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>> {
        Box::pin(async move {
            let key = HEXLOWER.encode(&message.key.to_bytes());
            let headers = [(MESSAGE_ID, key.as_str()), (KEY, &key), (HEAD, &message.content.head)];
            self.shared.publish(Target::Events, &headers, message.content.body).await
        })
    }

    fn limit(&self) -> Option<usize> {
        Some(self.shared.context.client().max_payload().saturating_sub(ROOM_FOR_DEATH))
    }
}

/// The stream to which a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Dead,
    Events,
}

impl Shared {
    async fn publish(
        &self,
        target: Target,
        headers: &[(&'static str, &str)],
        payload: Bytes,
    ) -> Result<PassedOn, StoreError> {
        let client = self.context.client();
        // Otherwise the client would keep the message until the server is back, and each retry of its sender as well.
        if client.connection_state() != State::Connected {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "publish an event: the client is not connected"));
        }
        let (stream, subject) = match target {
            Target::Dead => (&self.names.dead_stream, &self.names.dead_subject),
            Target::Events => (&self.names.stream, &self.names.subject),
        };
        let mut map = HeaderMap::new();
        let mut length = "NATS/1.0\r\n\r\n".len();
        for (name, value) in [(EXPECTED_STREAM, stream.as_str())].iter().chain(headers) {
            let value: HeaderValue = value
                .parse()
                .map_err(|cause| StoreError::new(StoreErrorKind::Rejected, "write a header").with_source(cause))?;
            length += name.len() + value.as_str().len() + ": \r\n".len();
            map.insert(*name, value);
        }
        // A message that is accepted must also fit into the stream of dead letters.
        let room = if target == Target::Events { ROOM_FOR_DEATH } else { 0 };
        if length + room > LARGEST_HEADERS || length + payload.len() + room > client.max_payload() {
            return Ok(PassedOn::TooLarge);
        }
        let message = PublishMessage::build().headers(map).payload(payload);
        let sent: Result<PublishAckFuture, _> = self.context.send_publish(subject.clone(), message).await;
        let acknowledged = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match acknowledged {
            Ok(acknowledged) if acknowledged.duplicate => Ok(PassedOn::Duplicate),
            Ok(_) => Ok(PassedOn::Stored),
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Ok(PassedOn::TooLarge),
            Err(error) => match code(&error) {
                Some(10_054 | 10_097) => Ok(PassedOn::TooLarge),
                // The limit of the stream, or the disk.
                Some(10_047 | 10_077) => Ok(PassedOn::Full),
                _ => Err(unavailable("publish an event", error)),
            },
        }
    }

    /// Stores a message as a dead letter. `sequence` is its number in its stream, so an event that dies twice is stored
    /// twice.
    pub(super) async fn bury(
        &self,
        (key, head): (ClaimKey, &str),
        payload: Bytes,
        reason: &str,
        (attempt, sequence): (u32, u64),
    ) -> Result<(), StoreError> {
        let key = HEXLOWER.encode(&key.to_bytes());
        let id = format!("{key}-dead-{sequence}");
        let (reason, attempts) = (printable(reason), attempt.to_string());
        let headers =
            [(MESSAGE_ID, id.as_str()), (KEY, &key), (HEAD, head), (DEAD_REASON, &reason), (ATTEMPTS, &attempts)];
        match self.publish(Target::Dead, &headers, payload).await? {
            PassedOn::Stored | PassedOn::Duplicate => Ok(()),
            PassedOn::Full => Err(StoreError::new(StoreErrorKind::Full, "publish a dead letter")),
            PassedOn::TooLarge => {
                Err(StoreError::new(StoreErrorKind::Rejected, "publish a dead letter: it is too large"))
            }
        }
    }
}

/// The reason as the text of a header.
fn printable(reason: &str) -> String {
    reason
        .chars()
        .map(|character| if matches!(character, ' '..='~') { character } else { '?' })
        .take(LONGEST_REASON)
        .collect()
}
