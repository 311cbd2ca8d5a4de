use std::borrow::Cow;

use aws_sdk_sqs::types::MessageAttributeValue;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    queue::{Queue, Shared, Sqs, TIMEOUT, within},
    text::{BASE64_FORM, Form, TYPE, is_permitted, printable, size, written},
};
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    sink::{PassedOn, Sink, SinkMessage},
};

pub(super) const KEY: &str = "Webhook-Key";
pub(super) const HEAD: &str = "Webhook-Head";
pub(super) const FORM: &str = "Webhook-Encoding";
const DEAD_REASON: &str = "Webhook-Dead-Reason";
const ATTEMPTS: &str = "Webhook-Attempts";

/// What a dead letter has beside the message: its reason and its attempts.
const ROOM_FOR_DEATH: usize = 1024;
/// The names and types of the attributes of each message, and its key.
const ATTRIBUTES: usize = 128;

/// What FIFO queues need of a message.
struct Fifo {
    deduplication: String,
    group: String,
}

impl Sink for Sqs {
    fn pass_on(&self, message: SinkMessage) -> BoxFuture<'_, Result<PassedOn, StoreError>> {
        Box::pin(async move {
            let group = message.order_key.unwrap_or(message.key);
            let fifo = Fifo { deduplication: hex(message.key), group: hex(group) };
            let attributes = [(KEY, hex(message.key).into()), (HEAD, (&*message.content.head).into())];
            self.shared.send(&self.shared.events, &attributes, &message.content.body, fifo, ROOM_FOR_DEATH).await
        })
    }

    /// Of a body that has to be sent as base64, three quarters.
    fn limit(&self) -> Option<usize> {
        Some(self.shared.events.largest.saturating_sub(ROOM_FOR_DEATH + ATTRIBUTES))
    }

    fn keeps_order(&self) -> bool {
        self.shared.events.is_fifo
    }
}

impl Shared {
    /// Sends a message, if it leaves so much room in its queue's size.
    async fn send(
        &self,
        queue: &Queue,
        attributes: &[(&'static str, Cow<'_, str>)],
        body: &Bytes,
        fifo: Fifo,
        room: usize,
    ) -> Result<PassedOn, StoreError> {
        let (form, text) = written(body);
        let mut attributes = attributes.to_vec();
        if form == Form::Base64 {
            attributes.push((FORM, BASE64_FORM.into()));
        }
        if size(&text, &attributes) + room > queue.largest {
            return Ok(PassedOn::TooLarge);
        }
        let mut request = self.client.send_message().queue_url(&queue.url).message_body(text);
        for (name, value) in attributes {
            if !is_permitted(&value) {
                let context = format!("send a message: `{name}` has characters that SQS does not take");
                return Err(StoreError::new(StoreErrorKind::Rejected, context));
            }
            let value = MessageAttributeValue::builder().data_type(TYPE).string_value(value).build();
            let value = value.map_err(|cause| {
                StoreError::new(StoreErrorKind::Rejected, "write an attribute of a message").with_source(cause)
            })?;
            request = request.message_attributes(name, value);
        }
        if queue.is_fifo {
            request = request.message_deduplication_id(fifo.deduplication).message_group_id(fifo.group);
        }
        within(TIMEOUT, "send a message", request.send()).await?;
        // The service does not say whether it has dropped a duplicate.
        Ok(PassedOn::Stored)
    }

    /// Puts a message among the dead letters. `message` is its id: an event that dies twice is there twice.
    pub(super) async fn bury(
        &self,
        (key, head): (Option<ClaimKey>, &str),
        body: &Bytes,
        reason: &str,
        (attempt, message): (u32, &str),
    ) -> Result<(), StoreError> {
        let mut attributes = vec![(DEAD_REASON, Cow::from(printable(reason))), (ATTEMPTS, attempt.to_string().into())];
        if let Some(key) = key {
            attributes.push((KEY, hex(key).into()));
        }
        // What somebody else has written may have none.
        if is_permitted(head) {
            attributes.push((HEAD, head.into()));
        }
        let id = hex(ClaimKey::new("dead letter", "", None, message.as_bytes()));
        let fifo = Fifo { deduplication: format!("dead-{id}"), group: key.map_or(id, hex) };
        match self.send(&self.dead, &attributes, body, fifo, 0).await? {
            PassedOn::TooLarge => {
                let context = "send a dead letter: its queue takes smaller messages than the queue of events";
                Err(StoreError::new(StoreErrorKind::Rejected, context))
            }
            PassedOn::Duplicate | PassedOn::Full | PassedOn::Stored => Ok(()),
        }
    }
}

fn hex(key: ClaimKey) -> String {
    HEXLOWER.encode(&key.to_bytes())
}
