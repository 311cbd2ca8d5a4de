use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    net::destination::DestinationPolicy,
    observe,
    queue::Room,
    redaction::Redaction,
    sealing::SealingKey,
    send::{
        attempt::Transport,
        client::guarded::GuardedClient,
        message::api_versions::ApiVersions,
        outbox::{
            dispatcher::Dispatcher,
            endpoint::Endpoint,
            hooks::{Attempted, Disabled, Hooks},
            quotas::Quotas,
            shared::{Shared, Times},
            store::{
                OutboxStore,
                delivery::Retention,
                limits::{DISABLE_AFTER, LONGEST_LEASE},
            },
            worker::jobs::GRACE,
        },
        retry::RetryPolicy,
        signing::seal::Sealer,
    },
};

/// The settings of a [`Dispatcher`]. Only one is required: a [sealing key](Self::sealing_key), or [plain
/// secrets](Self::with_insecure_plain_secrets). docs/defaults.md gives the reason for each default number.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{Dispatcher, GuardedClient, OutboxStore, RetryPolicy, SealingKey};
///
/// fn dispatcher(store: impl OutboxStore) -> Result<Dispatcher, Box<dyn std::error::Error>> {
///     Ok(Dispatcher::builder(store)
///         .sealing_key(SealingKey::from_env("WEBHOOKS_KEY")?)
///         .client(GuardedClient::builder().user_agent("acme-webhooks/1").build()?)
///         .retry_policy(RetryPolicy::custom([5, 60, 3600].map(Duration::from_secs)))
///         .on_exhausted(|given_up| eprintln!("{} was given up after attempt {}", given_up.delivery, given_up.attempt))
///         .on_endpoint_disabled(|disabled| eprintln!("{} is disabled: {}", disabled.endpoint, disabled.reason.as_str()))
///         .build()?)
/// }
///
/// # #[cfg(feature = "idempotency")]
/// assert!(Dispatcher::builder(tower_webhooks::store::MemoryOutbox::new()).build().is_err()); // it has no sealing key
/// ```
#[must_use]
pub struct DispatcherBuilder {
    store: Arc<dyn OutboxStore>,
    sealer: Sealer,
    plain: bool,
    transport: Option<Arc<dyn Transport>>,
    policy: DestinationPolicy,
    retries: RetryPolicy,
    hooks: Hooks,
    quotas: Quotas,
    api_versions: Option<ApiVersions>,
    clock: Arc<dyn Clock>,
    attempt_header: bool,
    times: Times,
    room: Room,
}

impl Dispatcher {
    /// Creates a builder for a dispatcher with this store.
    pub fn builder(store: impl OutboxStore) -> DispatcherBuilder {
        DispatcherBuilder::new(Arc::new(store))
    }
}

impl DispatcherBuilder {
    pub(crate) fn new(store: Arc<dyn OutboxStore>) -> Self {
        Self {
            store,
            sealer: Sealer::default(),
            plain: false,
            transport: None,
            policy: DestinationPolicy::default(),
            retries: RetryPolicy::standard(),
            hooks: Hooks::default(),
            quotas: Quotas::default(),
            api_versions: None,
            clock: Arc::new(SystemClock),
            attempt_header: false,
            times: Times {
                attempt: Duration::from_secs(15),
                lease: Duration::from_secs(30),
                disable_after: DISABLE_AFTER,
                retention: Retention::default(),
            },
            room: Room { jobs: 256, poll: Duration::from_secs(1) },
        }
    }

    /// Seals the secrets of endpoints with this key. One key or [`with_insecure_plain_secrets`](Self::with_insecure_plain_secrets)
    /// has to be chosen.
    ///
    /// The first key seals. Further calls add keys that open what they have sealed. To change the key: add the new one as the
    /// second in all processes, then make it the first in all processes, then call
    /// [`Endpoints::reseal`](crate::send::Endpoints::reseal), then remove the old one.
    pub fn sealing_key(mut self, key: SealingKey) -> Self {
        self.sealer.keys.push(key);
        self
    }

    /// Stores the secrets of endpoints unsealed: whoever reads the database, or a backup of it, can sign in your name.
    ///
    /// If a sealing key is set later, nothing is sent to these endpoints, and [`Endpoints::reseal`](crate::send::Endpoints::reseal)
    /// does not seal them: otherwise whoever can write to the database could choose their secrets. Register them again.
    pub fn with_insecure_plain_secrets(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Sets the client that makes attempts. Its policy also decides which endpoints can be registered.
    pub fn client(mut self, client: GuardedClient) -> Self {
        self.policy = client.policy().clone();
        self.transport = Some(Arc::new(client));
        self
    }

    /// Sets another transport for attempts, such as that of a test. `policy` decides which endpoints can be registered.
    pub fn transport(mut self, transport: impl Transport, policy: DestinationPolicy) -> Self {
        self.policy = policy;
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets when a failed delivery is tried again; [`RetryPolicy::standard`] by default: ten attempts in about three days, which
    /// is enough for a receiver that was down over a weekend.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retries = policy;
        self
    }

    /// Sets the deadline of an attempt, from the look-up of the name to the last byte of the answer; 15 s by default, as
    /// Standard Webhooks advises. A client's own deadline counts too: the earlier one ends the attempt.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.times.attempt = timeout;
        self
    }

    /// Sets how long a worker holds a delivery, which is also its delay when the worker is killed; 30 s by default. It must be
    /// longer than the deadline of an attempt by more than 250 ms and the time that the store takes to note the attempt, and at
    /// most 10 minutes.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.times.lease = lease;
        self
    }

    /// Sets how long an endpoint may fail without a success until it is disabled; 5 days by default, which is longer than a
    /// weekend and than the standard retries of one message. It must also fail five times, each at least a tenth of that time
    /// after the one before, so that an endpoint with one event a week is not disabled for two bad minutes.
    pub fn disable_after(mut self, time: Duration) -> Self {
        self.times.disable_after = time;
        self
    }

    /// Sets how long contents (payloads and answers) and rows (of messages, deliveries and attempts) are kept after a
    /// message has ended; 30 and 90 days by default, long enough to look into a complaint. A message cannot be sent
    /// again after its content was removed.
    pub fn retention(mut self, content: Duration, rows: Duration) -> Self {
        self.times.retention.content = content;
        self.times.retention.rows = rows;
        self
    }

    /// Sets the maximum number of attempts that a worker makes at once; 256 by default. Each can hold the start of an answer and,
    /// unless another attempt has the same message, a body and its payload. One endpoint takes up to 4 places, and all endpoints
    /// that are new or slow take at most half of them together.
    pub fn concurrency(mut self, attempts: usize) -> Self {
        self.room.jobs = attempts.max(1);
        self
    }

    /// Sets how often an idle worker looks for what other processes dispatched; 1 s by default, 10 ms at least. A
    /// dispatch in this process wakes it at once, so this matters only for other processes.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.room.poll = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the limits for a tenant, an endpoint and a call; [`Quotas::default`] by default.
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// Sets the versions of the application's API that endpoints can choose. By default there are none, and every endpoint gets every
    /// message unchanged.
    pub fn api_versions(mut self, versions: ApiVersions) -> Self {
        self.api_versions = Some(versions);
        self
    }

    /// Sets what is hidden of answers before they are kept: its rules and functions about [`Place::Answer`]. Hooks see what is kept. What it
    /// says of other places does not matter here: payloads are sent as they are.
    ///
    /// An answer of which only the beginning is kept is hidden as a whole if it has rules.
    ///
    /// [`Place::Answer`]: crate::redaction::Place::Answer
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.hooks.redaction = redaction;
        self
    }

    /// Sets a function that gets what is about to be kept of an answer, and returns what is kept instead: at most its first
    /// 16 KiB. It is for data that only the application knows to be private, such as the card numbers of its customers, which
    /// receivers may repeat.
    ///
    /// The endpoint's own secrets and the values of its headers are removed before, and so is everything that looks
    /// like `whsec_…` in an answer to a [`GuardedClient`]. By default the rest is stored. Hooks get the stored bytes. A
    /// worker calls the function, so it must not block. If it panics, that is logged, and nothing of the answer is
    /// stored.
    pub fn redact_answers(mut self, redact: impl Fn(&Endpoint, Bytes) -> Bytes + Send + Sync + 'static) -> Self {
        self.hooks.redact = Some(Arc::new(redact));
        self
    }

    /// Adds the number of the attempt, from 1, to each request, in the header `webhook-attempt`, or `x-webhook-attempt` in the style of that
    /// name; off by default. The header is not signed. Receivers can log it, but must not rely on it.
    pub fn attempt_header(mut self) -> Self {
        self.attempt_header = true;
        self
    }

    /// Sets the clock for the time of attempts and the end of secrets.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets a hook that is called when a delivery was answered with a 2xx, after the result was stored.
    ///
    /// A worker calls the hook, so it must not block. If it panics, that is logged, and changes nothing. It is not called if the
    /// process ends between the two. The same is true of every hook.
    pub fn on_delivered(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.delivered = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called for each attempt that did not deliver, after the result was stored.
    pub fn on_attempt_failed(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.attempt_failed = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called when a delivery is given up, which means exhausted or refused.
    pub fn on_exhausted(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.exhausted = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called when a worker disables an endpoint. The tenant's other endpoints get a message of the type
    /// `endpoint.disabled`, which is dispatched in the transaction that disables the endpoint. If the endpoint has no tenant, only
    /// the hook is called, since the other endpoints may belong to other customers.
    pub fn on_endpoint_disabled(mut self, hook: impl Fn(&Disabled<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.disabled = Some(Arc::new(hook));
        self
    }

    /// Builds the dispatcher.
    ///
    /// # Errors
    /// When neither a sealing key nor plain secrets were chosen, or both; when the lease is not longer than an attempt, or longer
    /// than 10 minutes; and when no client was set and [`GuardedClient::new`] fails.
    pub fn build(self) -> Result<Dispatcher, ConfigError> {
        match (self.sealer.keys.is_empty(), self.plain) {
            (true, false) => {
                let message =
                    "no sealing key for the secrets of endpoints; add `.sealing_key(SealingKey::from_env(…)?)`";
                return Err(ConfigError::new(ConfigErrorKind::Secret, message));
            }
            (false, true) => {
                let message = "a sealing key and plain secrets exclude each other";
                return Err(ConfigError::new(ConfigErrorKind::Secret, message));
            }
            (true, true) => observe::plain_secrets(),
            (false, false) => {}
        }
        if self.times.lease <= self.times.attempt.saturating_add(GRACE) {
            let message = "the lease has to be longer than the deadline of an attempt, by more than 250 ms";
            return Err(ConfigError::new(ConfigErrorKind::Option, message));
        }
        if self.times.lease > LONGEST_LEASE {
            let message = "the lease is 10 minutes at most";
            return Err(ConfigError::new(ConfigErrorKind::Option, message));
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(GuardedClient::builder().timeout(self.times.attempt).build()?),
        };
        Ok(Dispatcher {
            shared: Arc::new(Shared {
                store: self.store,
                sealer: self.sealer,
                transport,
                policy: self.policy,
                retries: self.retries,
                hooks: self.hooks,
                quotas: self.quotas,
                api_versions: self.api_versions,
                clock: self.clock,
                attempt_header: self.attempt_header,
                times: self.times,
                room: self.room,
                new_work: Arc::default(),
                to_purge: tokio::sync::Notify::new(),
            }),
        })
    }
}

impl fmt::Debug for DispatcherBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatcherBuilder")
            .field("sealer", &self.sealer)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
