use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, jetstream::ContextBuilder};

use super::{
    error::unavailable,
    jet_stream::{JetStream, Names, Shared},
    streams::{self, NewStreams},
};
use crate::error::StoreError;

/// The connection of a [`JetStream`], and the names of its streams, subjects and consumer.
///
/// ```
/// use tower_webhooks::{BoxError, sink::nats::JetStream};
///
/// # async fn open(client: async_nats::Client) -> Result<JetStream, BoxError> {
/// // A stream that the operator has created, and a client with credentials and certificates.
/// let queue = JetStream::options().stream("ORDERS").subject("orders.webhooks").open(client).await?;
/// # Ok(queue)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct JetStreamOptions {
    names: Names,
    create: Option<NewStreams>,
    timeout: Duration,
}

/// Most senders make their first few retries within this time. Each id takes some hundred bytes of the server's memory.
const DEFAULT_DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);
/// A day of a busy sender.
const DEFAULT_MAX_MESSAGES: i64 = 100_000;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
/// Commands that may wait in the client, so that an outage of the server takes a bounded amount of memory.
const CLIENT_CAPACITY: usize = 256;
/// Publications that may wait for their acknowledgement.
const PUBLISHES_IN_FLIGHT: usize = 256;

impl JetStream {
    /// Returns options with the defaults: the stream `WEBHOOKS` with the subject `webhooks`, the durable consumer `webhooks`, and for dead letters
    /// the stream `WEBHOOKS_DEAD` with the subject `webhooks_dead`.
    pub fn options() -> JetStreamOptions {
        let names = Names {
            stream: "WEBHOOKS".to_owned(),
            subject: "webhooks".to_owned(),
            durable: "webhooks".to_owned(),
            dead_stream: "WEBHOOKS_DEAD".to_owned(),
            dead_subject: "webhooks_dead".to_owned(),
        };
        JetStreamOptions { names, create: None, timeout: DEFAULT_TIMEOUT }
    }
}

impl JetStreamOptions {
    /// Sets the stream in which events are kept.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.names.stream = name.into();
        self
    }

    /// Sets the subject to which events are published. It must be one of the stream's.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.names.subject = subject.into();
        self
    }

    /// Sets the durable consumer from which workers receive events. The first worker creates it, or corrects its
    /// settings. Workers with the same consumer share the events.
    #[must_use]
    pub fn durable(mut self, name: impl Into<String>) -> Self {
        self.names.durable = name.into();
        self
    }

    /// Sets stream and subject of dead letters.
    #[must_use]
    pub fn dead_letters(mut self, stream: impl Into<String>, subject: impl Into<String>) -> Self {
        (self.names.dead_stream, self.names.dead_subject) = (stream.into(), subject.into());
        self
    }

    /// Creates missing streams: a work queue for events, which holds up to 100,000 messages, refuses more, and
    /// remembers ids for 1 h; and a stream for as many dead letters, which keeps them for 90 days. By default a missing
    /// stream is an error.
    #[must_use]
    pub fn create(mut self) -> Self {
        self.new_streams();
        self
    }

    /// Sets how many servers of a cluster keep each message of streams that are [created](Self::create); 1 by default.
    #[must_use]
    pub fn replicas(mut self, servers: usize) -> Self {
        self.new_streams().replicas = servers;
        self
    }

    /// Sets how long the server remembers the ids of messages, in a stream that is [created](Self::create); 1 h by default.
    #[must_use]
    pub fn duplicate_window(mut self, window: Duration) -> Self {
        self.new_streams().duplicate_window = window;
        self
    }

    /// Sets how many messages a [created](Self::create) stream may hold; 100,000 by default. Above it, senders get 503.
    #[must_use]
    pub fn max_messages(mut self, messages: u32) -> Self {
        self.new_streams().max_messages = i64::from(messages.max(1));
        self
    }

    /// Sets how long the server may take for one answer; 4 s by default, which is less than the time limit of a
    /// hand-off.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to a server, or to one of several that are separated by commas.
    ///
    /// # Errors
    /// When no server can be reached, or [as `open`](Self::open).
    pub async fn connect(self, url: &str) -> Result<JetStream, StoreError> {
        let options = ConnectOptions::new().name("tower-webhooks").client_capacity(CLIENT_CAPACITY);
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let client = options.connect(servers).await.map_err(|cause| unavailable("connect to NATS", cause))?;
        self.open(client).await
    }

    /// Uses a client that is already connected. While the server is unreachable, the client keeps messages up to its
    /// capacity (`ConnectOptions::client_capacity`).
    ///
    /// # Errors
    /// When the server does not answer; or a stream is missing and not to be [created](Self::create), does not have the
    /// subject, or can lose acknowledged messages. The error says which, and what to change.
    pub async fn open(self, client: Client) -> Result<JetStream, StoreError> {
        let Self { names, create, timeout } = self;
        let context = ContextBuilder::new()
            .timeout(timeout)
            .ack_timeout(timeout)
            .max_ack_inflight(PUBLISHES_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        streams::open(&context, &names, create).await?;
        Ok(JetStream { shared: Arc::new(Shared { context, names, timeout, consumer: tokio::sync::Mutex::default() }) })
    }

    fn new_streams(&mut self) -> &mut NewStreams {
        self.create.get_or_insert(NewStreams {
            replicas: 1,
            duplicate_window: DEFAULT_DUPLICATE_WINDOW,
            max_messages: DEFAULT_MAX_MESSAGES,
        })
    }
}
