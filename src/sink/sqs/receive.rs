use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::time::Instant;

use super::{
    queue::{Shared, Sqs, TIMEOUT, within},
    send::{FORM, HEAD, KEY},
    text::{BASE64_FORM, Form, read},
};
use crate::{
    boxed::BoxFuture,
    clock::{Clock, SystemClock},
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    inbox::{Content, Ending},
    sink::{ReceivedMessage, SinkHold, SinkQueue},
};

/// The most messages of one call, and the longest wait. Of a FIFO queue each call takes one: a call for more returns several of one group, and all
/// of them would be worked at the same time. While one is held, the service gives out no other of its group.
const MOST: u32 = 10;
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long a message may be held, or wait for its next attempt, from its receipt on.
const LONGEST_HELD: Duration = Duration::from_secs(12 * 60 * 60);

impl SinkQueue for Sqs {
    fn receive(
        &self,
        limit: u32,
        lease: Duration,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, StoreError>> {
        Box::pin(async move {
            let shared = &self.shared;
            let received_at = Instant::now();
            let most = if shared.events.is_fifo { 1 } else { MOST };
            let request = shared
                .client
                .receive_message()
                .queue_url(&shared.events.url)
                .max_number_of_messages(limit.clamp(1, most) as i32)
                .visibility_timeout(seconds(lease, LONGEST_HELD))
                .wait_time_seconds(i32::try_from(wait.min(LONGEST_WAIT).as_secs()).unwrap_or(0))
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let answer = within(wait + TIMEOUT, "receive messages", request.send()).await?;
            Ok(answer.messages().iter().map(|message| shared.received(message, received_at)).collect())
        })
    }
}

/// Whole seconds, rounded up: a wait must not be shorter than it was drawn.
fn seconds(time: Duration, most: Duration) -> i32 {
    let time = time.min(most);
    i32::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(i32::MAX).min(most.as_secs() as i32)
}

impl Shared {
    fn received(self: &Arc<Self>, message: &Message, received_at: Instant) -> ReceivedMessage {
        let id: Arc<str> = message.message_id().unwrap_or_default().into();
        let system = |name| message.attributes().and_then(|attributes| attributes.get(&name)?.parse::<u64>().ok());
        let attribute = |name| message.message_attributes().and_then(|attributes| attributes.get(name)?.string_value());
        let attempt = system(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX).max(1);
        let sent =
            system(MessageSystemAttributeName::SentTimestamp).map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        let age = sent.and_then(|sent| SystemClock.now().duration_since(sent).ok()).unwrap_or_default();
        let key = attribute(KEY).and_then(key_of);
        let head: Arc<str> = attribute(HEAD).unwrap_or_default().into();
        let form = if attribute(FORM) == Some(BASE64_FORM) { Form::Base64 } else { Form::Text };
        let text = message.body().unwrap_or_default();
        let body = read(form, text);
        let hold = Box::new(Held {
            shared: Arc::clone(self),
            receipt: message.receipt_handle().unwrap_or_default().to_owned(),
            letter: (key, Arc::clone(&head), body.clone().unwrap_or_else(|| Bytes::copy_from_slice(text.as_bytes()))),
            id: Arc::clone(&id),
            attempt,
            received_at,
        });
        let name = format!("message {id}");
        let received = match (key, body) {
            (Some(key), Some(body)) => ReceivedMessage::new(name, key, Content::new(head, body), hold),
            _ => ReceivedMessage::unreadable(name, "it is not a message of a hand-off", hold),
        };
        received.attempt(attempt).age(age)
    }
}

fn key_of(text: &str) -> Option<ClaimKey> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
    Some(ClaimKey::from_bytes(bytes.try_into().ok()?))
}

/// A message that a worker holds.
struct Held {
    shared: Arc<Shared>,
    receipt: String,
    letter: (Option<ClaimKey>, Arc<str>, Bytes),
    id: Arc<str>,
    attempt: u32,
    received_at: Instant,
}

impl Held {
    /// How long the service lets the message be hidden still.
    fn left(&self) -> Duration {
        LONGEST_HELD.saturating_sub(self.received_at.elapsed() + Duration::from_secs(60))
    }

    async fn hide(&self, time: Duration) -> Result<(), StoreError> {
        let left = self.left();
        let request = self
            .shared
            .client
            .change_message_visibility()
            .queue_url(&self.shared.events.url)
            .receipt_handle(&self.receipt)
            .visibility_timeout(seconds(time, left));
        within(TIMEOUT, "change how long a message is hidden", request.send()).await.map(|_| ())
    }

    async fn delete(&self) -> Result<(), StoreError> {
        let request =
            self.shared.client.delete_message().queue_url(&self.shared.events.url).receipt_handle(&self.receipt);
        within(TIMEOUT, "delete a message", request.send()).await.map(|_| ())
    }
}

impl SinkHold for Held {
    fn renew(&self, lease: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            // To hide it for no time would give it away.
            if self.left() < Duration::from_secs(1) {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "hold a message for more than 12 hours"));
            }
            self.hide(lease).await
        })
    }

    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.receipt.is_empty() {
                return Err(StoreError::new(StoreErrorKind::Corrupt, "end a message without a receipt"));
            }
            match ending {
                Ending::Done | Ending::Discarded { .. } => self.delete().await,
                Ending::Returned => self.hide(Duration::ZERO).await,
                Ending::Retry { wait, .. } => self.hide(wait).await,
                Ending::Dead { reason } => {
                    let (key, head, body) = &self.letter;
                    self.shared.bury((*key, head), body, &reason, (self.attempt, &self.id)).await?;
                    self.delete().await
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST_HELD, seconds};

    #[test]
    fn times_are_whole_seconds_within_what_the_service_takes() {
        for (millis, expected) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (u64::MAX, 43_200)] {
            assert_eq!(seconds(Duration::from_millis(millis), LONGEST_HELD), expected, "{millis} ms");
        }
        assert_eq!(seconds(Duration::from_secs(10), Duration::from_millis(2500)), 2, "not more than is left");
        assert_eq!(seconds(Duration::from_secs(10), Duration::ZERO), 0);
    }
}
