use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;
use tower_layer::Layer;

use super::sink::Sink;
use crate::{
    idempotency::MissingId,
    inbox::{DEFAULT_HEADERS, DEFAULT_STORE_TIMEOUT, SealingKey},
    json::Pointer,
    observe,
    verify::{Webhook, WebhookLayer},
};

/// Passes verified deliveries on to a [`Sink`], and answers when the sink has acknowledged them. It is the service
/// between verification and a queue.
///
/// The sender is answered with 202, or as its documentation prescribes. A duplicate is passed on with the same key, and
/// the queue drops it if it still remembers the key. `layer.with_idempotency(store)`, in front of the hand-off, also
/// detects later duplicates.
///
/// The [module](super) has an example.
#[derive(Clone)]
pub struct HandOff {
    pub(super) settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) consumer: Arc<str>,
    pub(super) headers: Vec<HeaderName>,
    pub(super) missing_id: Option<MissingId>,
    pub(super) order_key: Option<Pointer>,
    pub(super) timeout: Duration,
    pub(super) sealing: Option<SealingKey>,
}

/// The default name of a hand-off and of its workers.
pub(super) const DEFAULT_CONSUMER: &str = "sink";

/// The bytes that are reserved for the head of a message: the URL, and the headers that are kept.
const ROOM_FOR_HEAD: usize = 8 * 1024;

impl HandOff {
    /// Passes deliveries on to `sink`.
    pub fn new(sink: impl Sink) -> Self {
        let settings = Settings {
            sink: Arc::new(sink),
            consumer: DEFAULT_CONSUMER.into(),
            headers: DEFAULT_HEADERS.to_vec(),
            missing_id: None,
            order_key: None,
            timeout: DEFAULT_STORE_TIMEOUT,
            sealing: None,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Sets the name of the hand-off; `sink` by default. It is part of the key of each message, so two applications
    /// that pass on the same deliveries to one queue need different names. A worker that opens sealed messages has [the
    /// same name](super::SinkWorker::with_consumer).
    #[must_use]
    pub fn with_consumer(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|settings| settings.consumer = name.into())
    }

    /// Passes on these headers too, for handlers that read them, in addition to `content-type`, `user-agent`,
    /// `traceparent` and `tracestate`. Do not pass on headers that contain secrets.
    #[must_use]
    pub fn with_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.headers.extend(names))
    }

    /// Sets how a delivery without an id is identified; by default the scheme decides, as for
    /// [claims](crate::idempotency::IdempotencyLayer::with_missing_id). Under [`MissingId::Skip`] each has a key of its
    /// own.
    #[must_use]
    pub fn with_missing_id(self, choice: MissingId) -> Self {
        self.with(|settings| settings.missing_id = Some(choice))
    }

    /// Makes the queue deliver events with the same text or number at this JSON pointer in the body one after the
    /// other, for example `/data/object/customer`.
    ///
    /// # Panics
    /// When `pointer` is not a JSON pointer, or the queue does not [keep such an order](Sink::keeps_order).
    #[must_use]
    #[track_caller]
    pub fn with_order_key(self, pointer: &str) -> Self {
        assert!(
            self.settings.sink.keeps_order(),
            "this queue does not keep the order of messages; remove `.with_order_key(…)`"
        );
        let Some(parsed) = Pointer::parse(pointer) else { panic!("`{pointer}` is not a JSON pointer (RFC 6901)") };
        self.with(|settings| settings.order_key = Some(parsed))
    }

    /// Sets how long the queue may take before the sender is answered with 503; 5 s by default.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// Seals each message with this key: its body, the URL and the headers that are passed on. Only programs with the
    /// key can read it, and a worker that [has the key](super::SinkWorker::with_sealing_key) does not handle unsealed
    /// messages.
    #[must_use]
    pub fn with_sealing_key(self, key: SealingKey) -> Self {
        self.with(|settings| settings.sealing = Some(key))
    }

    /// Puts the hand-off behind the layer that verifies. If the queue's limit for messages is smaller than the layer's
    /// limit for bodies, the body limit is lowered to the queue's limit minus 8 KiB for the head, and a warning is
    /// logged. A larger body is then answered with 413 before it is read.
    ///
    /// `layer.layer(hand_off)` does the same without comparing the limits; a body that is too large for the queue is
    /// then answered with 413 after it was read.
    ///
    /// # Panics
    /// As [`WebhookLayer::layer`].
    #[track_caller]
    pub fn behind<L>(self, layer: WebhookLayer<L>) -> Webhook<L::Service>
    where
        L: Layer<Self>,
    {
        let limit = layer.body_limit();
        let room = self.settings.sink.limit().map(|limit| limit.saturating_sub(ROOM_FOR_HEAD));
        match room.filter(|room| *room < limit) {
            Some(lowered) => {
                observe::sink_limits_bodies(layer.scheme().name(), limit, lowered);
                layer.with_body_limit(lowered).layer(self)
            }
            None => layer.layer(self),
        }
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::try_unwrap(self.settings).unwrap_or_else(|settings| Settings::clone(&settings));
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }
}

impl fmt::Debug for HandOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOff")
            .field("consumer", &self.settings.consumer)
            .field("timeout", &self.settings.timeout)
            .field("sealing", &self.settings.sealing)
            .finish_non_exhaustive()
    }
}
