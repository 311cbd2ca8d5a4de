use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use async_nats::{
    Request, Subject,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, PullConsumer, pull},
    },
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_core::Stream;
use tokio::time::timeout;

use super::{
    error::unavailable,
    jet_stream::{JetStream, Shared},
    publish::{HEAD, KEY},
};
use crate::{
    boxed::BoxFuture,
    clock::{Clock, SystemClock},
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    inbox::{Content, Ending},
    sink::{ReceivedMessage, SinkHold, SinkQueue},
};

impl SinkQueue for JetStream {
    fn receive(
        &self,
        limit: u32,
        lease: Duration,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, StoreError>> {
        Box::pin(async move {
            let received = self.shared.receive(limit, lease, wait).await;
            if received.is_err() {
                // It may have been deleted.
                *self.shared.consumer.lock().await = None;
            }
            Ok(received?.iter().map(|message| self.shared.received(message)).collect())
        })
    }
}

impl Shared {
    async fn receive(
        self: &Arc<Self>,
        limit: u32,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, StoreError> {
        let consumer = self.consumer(lease).await?;
        // Takes the messages that are there now, or waits for the next one. A request for many would wait until that
        // many have arrived.
        let there = consumer.fetch().max_messages(limit.max(1) as usize).messages().await;
        let messages = self.collect(there.map_err(|cause| unavailable("fetch messages", cause))?, self.timeout).await?;
        if !messages.is_empty() || wait.is_zero() {
            return Ok(messages);
        }
        let next = consumer.batch().max_messages(1).expires(wait).messages().await;
        self.collect(next.map_err(|cause| unavailable("wait for a message", cause))?, wait + self.timeout).await
    }

    async fn collect(&self, batch: pull::Batch, within: Duration) -> Result<Vec<Message>, StoreError> {
        let mut batch = pin!(batch);
        let mut messages = Vec::new();
        loop {
            let next = poll_fn(|cx| Pin::as_mut(&mut batch).poll_next(cx));
            let error = match timeout(within, next).await {
                Ok(Some(Ok(message))) => {
                    messages.push(message);
                    continue;
                }
                Ok(None) => return Ok(messages),
                Ok(Some(Err(cause))) => unavailable("receive messages", cause),
                Err(_) => StoreError::new(StoreErrorKind::Unavailable, "receive messages: no answer in time"),
            };
            // The messages that have arrived are kept, even if a later one fails.
            return if messages.is_empty() { Err(error) } else { Ok(messages) };
        }
    }

    /// The durable consumer of all workers, with what they need.
    async fn consumer(&self, lease: Duration) -> Result<PullConsumer, StoreError> {
        let mut known = self.consumer.lock().await;
        if let Some((of_lease, consumer)) = &*known
            && *of_lease == lease
        {
            return Ok(consumer.clone());
        }
        let failed = |cause| unavailable(format!("open the durable consumer `{}`", self.names.durable), cause);
        let stream = self.context.get_stream_no_info(&self.names.stream).await.map_err(|cause| failed(cause.into()))?;
        let config = pull::Config {
            durable_name: Some(self.names.durable.clone()),
            filter_subject: self.names.subject.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            // The worker counts the attempts: at its limit the server would keep a message and silently stop delivering
            // it.
            max_deliver: -1,
            // Messages that wait for their next attempt count as well, and must not block the others.
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let consumer =
            stream.create_consumer(config).await.map_err(|cause| failed(crate::boxed::BoxError::from(cause)))?;
        *known = Some((lease, consumer.clone()));
        Ok(consumer)
    }

    fn received(self: &Arc<Self>, message: &Message) -> ReceivedMessage {
        let (attempt, sequence, published) = match message.info() {
            Ok(info) => (info.delivered, info.stream_sequence, Some(info.published.into())),
            Err(_) => (1, 0, None),
        };
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX).max(1);
        let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name)).map(|value| value.as_str());
        let key = header(KEY).and_then(key_of);
        let head: Arc<str> = header(HEAD).unwrap_or_default().into();
        let payload = message.payload.clone();
        let hold = Box::new(Held {
            shared: Arc::clone(self),
            reply: message.reply.clone(),
            letter: (key.unwrap_or(ClaimKey::from_bytes([0; 16])), Arc::clone(&head), payload.clone()),
            attempt,
            sequence,
        });
        let name = format!("message {sequence} of the stream {}", self.names.stream);
        let received = match key {
            Some(key) => ReceivedMessage::new(name, key, Content::new(head, payload), hold),
            None => ReceivedMessage::unreadable(name, "it is not a message of a hand-off", hold),
        };
        let age = published.and_then(|published| SystemClock.now().duration_since(published).ok());
        received.attempt(attempt).age(age.unwrap_or_default())
    }
}

fn key_of(text: &str) -> Option<ClaimKey> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
    Some(ClaimKey::from_bytes(bytes.try_into().ok()?))
}

/// A message that a worker holds.
struct Held {
    shared: Arc<Shared>,
    reply: Option<Subject>,
    letter: (ClaimKey, Arc<str>, Bytes),
    attempt: u32,
    sequence: u64,
}

impl Held {
    /// Sends the acknowledgement, and waits for the server's confirmation. If nothing listens any more, this is an
    /// error; the client's `double_ack` returns `Ok` then.
    async fn tell(&self, what: AckKind) -> Result<(), StoreError> {
        let context = "acknowledge a message";
        let Some(reply) = self.reply.clone() else { return Err(StoreError::new(StoreErrorKind::Corrupt, context)) };
        let request = Request::new().payload(what.into()).timeout(Some(self.shared.timeout));
        let told = self.shared.context.client().send_request(reply, request).await;
        told.map(|_| ()).map_err(|cause| unavailable(context, cause))
    }
}

impl SinkHold for Held {
    /// The server always holds it for the lease of its consumer.
    fn renew(&self, _lease: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.tell(AckKind::Progress))
    }

    fn finish(&self, ending: Ending) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let what = match ending {
                Ending::Done => AckKind::Ack,
                Ending::Discarded { .. } => AckKind::Term,
                Ending::Returned => AckKind::Nak(None),
                Ending::Retry { wait, .. } => AckKind::Nak(Some(wait.max(Duration::from_millis(1)))),
                Ending::Dead { reason } => {
                    let (key, head, payload) = &self.letter;
                    let letter =
                        self.shared.bury((*key, head), payload.clone(), &reason, (self.attempt, self.sequence));
                    letter.await?;
                    AckKind::Term
                }
            };
            self.tell(what).await
        })
    }
}
