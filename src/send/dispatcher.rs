use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    ApiVersions, AttemptRecord, Attempted, DISABLE_AFTER, DeliveryQuery, DeliveryRecord, DestinationPolicy, Disabled,
    Dispatched, Endpoint, Endpoints, EventTypes, GuardedClient, Message, OutboxId, OutboxStore, Quotas, Retention,
    RetryPolicy, SealingKey, SendError, SendErrorKind, SendWorker, Transport, hooks::Hooks, seal::Sealer,
    worker::GRACE,
};
use crate::{
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind},
    observe,
    queue::Room,
    transaction::StoreTransaction,
};

/// Dispatches messages to registered endpoints, by way of an outbox that keeps them. Cheap to clone; fits axum's `State`.
///
/// What was dispatched is durable when the call returns, or when the application's transaction is committed. A
/// [`SendWorker`], in this process or in others, delivers it.
///
/// ```
/// # #[cfg(feature = "sqlite")] mod example {
/// use serde_json::json;
/// use tower_webhooks::{send::{Dispatcher, Message, NewEndpoint, SealingKey}, store::SqliteStore};
///
/// # async fn run(shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::connect("sqlite://app.db").await?;
/// let webhooks = Dispatcher::builder(store).sealing_key(SealingKey::from_env("WEBHOOKS_KEY")?).build()?;
/// tokio::spawn(webhooks.worker().run(shutdown));
///
/// let created = webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?.events(["order.*"])).await?;
/// println!("your secret, shown once: {}", created.reveal());
///
/// webhooks.dispatch(Message::new("order.completed", &json!({ "order": 7 }))?).await?;
/// # Ok(()) }
/// # }
/// ```
#[derive(Clone)]
pub struct Dispatcher {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn OutboxStore>,
    pub(super) sealer: Sealer,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) policy: DestinationPolicy,
    pub(super) retries: RetryPolicy,
    pub(super) hooks: Hooks,
    pub(super) quotas: Quotas,
    pub(super) api_versions: Option<ApiVersions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) times: Times,
    pub(super) room: Room,
    pub(super) new_work: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) attempt: Duration,
    pub(super) lease: Duration,
    pub(super) disable_after: Duration,
    pub(super) retention: Retention,
}

impl Shared {
    /// Tells the workers of this process that there may be work.
    pub(super) fn wake(&self) {
        self.new_work.notify_waiters();
    }
}

/// What became of a message that was dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    deliveries: u32,
    new: bool,
}

impl Receipt {
    /// How many endpoints the message is for.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Tells whether the message was not there before.
    pub fn is_new(&self) -> bool {
        self.new
    }
}

impl Dispatcher {
    /// Starts a dispatcher on a store.
    pub fn builder(store: impl OutboxStore) -> DispatcherBuilder {
        DispatcherBuilder {
            store: Arc::new(store),
            sealer: Sealer::default(),
            plain: false,
            transport: None,
            policy: DestinationPolicy::default(),
            retries: RetryPolicy::standard(),
            hooks: Hooks::default(),
            quotas: Quotas::default(),
            api_versions: None,
            clock: Arc::new(SystemClock),
            times: Times {
                attempt: Duration::from_secs(15),
                lease: Duration::from_secs(30),
                disable_after: DISABLE_AFTER,
                retention: Retention::default(),
            },
            room: Room { jobs: 256, poll: Duration::from_secs(1) },
        }
    }

    /// The endpoints.
    pub fn endpoints(&self) -> Endpoints<'_> {
        Endpoints(self)
    }

    /// The catalogue of event types.
    pub fn event_types(&self) -> EventTypes<'_> {
        EventTypes(self)
    }

    /// A worker that delivers what is due. Run as many as you like, in as many processes.
    pub fn worker(&self) -> SendWorker {
        SendWorker::new(self.clone())
    }

    /// Stores a message, and a delivery of it for each endpoint that wants it. It is durable when this returns.
    ///
    /// The same message again changes nothing. A payload of 20 KiB or more is warned of in the log: many receivers and what
    /// stands before them take little more.
    ///
    /// # Errors
    /// [`Conflict`](SendErrorKind::Conflict) when there is another message under its id;
    /// [`Invalid`](SendErrorKind::Invalid) when its tenant, version or time cannot be, or its version is none of
    /// [`api_versions`](DispatcherBuilder::api_versions), where there are some; and as the store fails: whether the message
    /// was stored is then unknown, and to dispatch the same one again is safe.
    pub async fn dispatch(&self, message: Message) -> Result<Receipt, SendError> {
        let receipts = self.dispatch_many(vec![message]).await?;
        receipts.first().copied().ok_or_else(unanswered)
    }

    /// Stores several messages, all of them or none. The receipts are in their order.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    pub async fn dispatch_many(&self, messages: Vec<Message>) -> Result<Vec<Receipt>, SendError> {
        messages.iter().try_for_each(|message| self.check(message))?;
        let dispatched = self.shared.store.dispatch(messages.clone()).await?;
        let receipts = receipts(&messages, dispatched)?;
        self.shared.wake();
        Ok(receipts)
    }

    /// Stores a message in the application's own transaction, which must be of the store's database: if that is committed
    /// the message is there, and otherwise it never was.
    ///
    /// A worker finds it when it next looks, within a second.
    ///
    /// # Errors
    /// [`Conflict`](SendErrorKind::Conflict) and [`Invalid`](SendErrorKind::Invalid) as [`dispatch`](Self::dispatch): nothing
    /// was written, and the transaction can go on. [`Store`](SendErrorKind::Store) when the transaction is of another database, or as the
    /// database fails: roll the transaction back.
    pub async fn dispatch_in<T: StoreTransaction>(
        &self,
        transaction: &mut T,
        message: Message,
    ) -> Result<Receipt, SendError> {
        self.check(&message)?;
        let messages = vec![message];
        let dispatched = self.shared.store.dispatch_in(transaction.connection(), messages.clone()).await?;
        receipts(&messages, dispatched)?.first().copied().ok_or_else(unanswered)
    }

    fn check(&self, message: &Message) -> Result<(), SendError> {
        message.check()?;
        if let (Some(version), Some(versions)) = (message.api_version(), &self.shared.api_versions)
            && !versions.knows(version)
        {
            return Err(SendError::unknown_version(version));
        }
        let bytes = message.payload().get().len();
        if bytes >= LARGE_PAYLOAD {
            observe::large_payload(message.event_type(), bytes);
        }
        Ok(())
    }

    /// Reads a delivery, of whichever tenant: the numbers of ids can be guessed, so before one that a tenant named is shown,
    /// sent again or cancelled, compare the record's [`tenant`](DeliveryRecord::tenant).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery(&self, id: OutboxId) -> Result<Option<DeliveryRecord>, SendError> {
        Ok(self.shared.store.delivery(id).await?)
    }

    /// Reads a tenant's deliveries, the newest first, a [page](Quotas::page) at a time.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::send::{DeliveryQuery, DeliveryState, Dispatcher, SendError};
    ///
    /// # async fn run(webhooks: Dispatcher) -> Result<(), SendError> {
    /// let mut query = DeliveryQuery::default().state(DeliveryState::Exhausted).event_type("order.completed");
    /// while let Some(last) = webhooks.deliveries(Some("acme"), query.clone()).await?.last() {
    ///     println!("{} and those before it", last.id);
    ///     query = query.before(last.id);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn deliveries(
        &self,
        tenant: Option<&str>,
        query: DeliveryQuery,
    ) -> Result<Vec<DeliveryRecord>, SendError> {
        let tenant = Arc::from(tenant.unwrap_or_default());
        Ok(self.shared.store.deliveries(tenant, query, self.shared.quotas.page).await?)
    }

    /// Reads the attempts of a delivery.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts(&self, id: OutboxId) -> Result<Vec<AttemptRecord>, SendError> {
        Ok(self.shared.store.attempts(id).await?)
    }

    /// Sends a delivery now, whatever became of it, with all its attempts before it. One that waits for a retry does not
    /// wait any longer.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound) when there is nothing to send again: it is being sent at this moment, or it,
    /// its endpoint or its content is gone. And as the store fails.
    pub async fn resend(&self, id: OutboxId) -> Result<(), SendError> {
        if !self.shared.store.resend(id).await? {
            return Err(SendError::not_found("delivery that can be sent again"));
        }
        self.shared.wake();
        Ok(())
    }

    /// Cancels a delivery that waits.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound) when it does not wait, and as the store fails.
    pub async fn cancel(&self, id: OutboxId) -> Result<(), SendError> {
        let cancelled = self.shared.store.cancel(id).await?;
        if cancelled { Ok(()) } else { Err(SendError::not_found("delivery that waits")) }
    }

    /// Removes all that a tenant has: endpoints with their secrets, messages, deliveries, attempts. Tells how many rows. It
    /// works in small steps, until nothing is left; what is being sent at that moment may still arrive. Stop dispatching for
    /// the tenant before.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the name is empty: that would be all that an application without tenants
    /// has. And as the store fails: call it again.
    pub async fn erase_tenant(&self, name: &str) -> Result<u64, SendError> {
        if name.is_empty() {
            return Err(SendError::invalid("a tenant has a name; without one, everything would be erased"));
        }
        let tenant: Arc<str> = name.into();
        let mut erased = 0;
        loop {
            match self.shared.store.erase(tenant.clone(), ERASED_AT_ONCE).await? {
                0 => return Ok(erased),
                rows => erased += rows,
            }
        }
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("sealer", &self.shared.sealer)
            .field("policy", &self.shared.policy)
            .field("times", &self.shared.times)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`Dispatcher`].
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
    times: Times,
    room: Room,
}

impl DispatcherBuilder {
    /// Seals the secrets of endpoints with this key. One key or [`with_insecure_plain_secrets`](Self::with_insecure_plain_secrets)
    /// has to be chosen.
    ///
    /// Called again it adds keys that open what they have sealed; the first one seals. To change the key: add the new one as
    /// the second everywhere, then make it the first everywhere, then call [`Endpoints::reseal`], then take the old one away.
    pub fn sealing_key(mut self, key: SealingKey) -> Self {
        self.sealer.keys.push(key);
        self
    }

    /// Keeps the secrets of endpoints as they are: whoever reads the database, or a backup of it, can sign as you.
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

    /// Makes attempts by other means, such as a test's. `policy` decides which endpoints can be registered.
    pub fn transport(mut self, transport: impl Transport, policy: DestinationPolicy) -> Self {
        self.policy = policy;
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets when a failed delivery is tried again; [`RetryPolicy::standard`] by default.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retries = policy;
        self
    }

    /// Sets the deadline of an attempt; 15 s by default.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.times.attempt = timeout;
        self
    }

    /// Sets how long a worker holds a delivery, which is how late it comes when the worker is killed; 30 s by default. It
    /// has to be longer than the deadline of an attempt, by more than 250 ms and by the time that the store takes to note the
    /// attempt.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.times.lease = lease;
        self
    }

    /// Sets how long an endpoint may fail without a success until it is disabled; 5 days by default.
    pub fn disable_after(mut self, time: Duration) -> Self {
        self.times.disable_after = time;
        self
    }

    /// Sets how long contents and rows are kept; 30 and 90 days by default.
    pub fn retention(mut self, content: Duration, rows: Duration) -> Self {
        self.times.retention.content = content;
        self.times.retention.rows = rows;
        self
    }

    /// Sets how many attempts a worker makes at once; 256 by default. Each may hold the start of an answer and, unless another
    /// one is of the same message, a body and its payload. One slow endpoint takes up to 4 of them.
    pub fn concurrency(mut self, attempts: usize) -> Self {
        self.room.jobs = attempts.max(1);
        self
    }

    /// Sets how often an idle worker looks for what other processes dispatched; 1 s by default.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.room.poll = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets how much a tenant, an endpoint and a call can have; [`Quotas::default`] by default.
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// Sets the versions of the application's API, for endpoints that ask for one of them; none by default, and then every
    /// endpoint gets every message as it is.
    pub fn api_versions(mut self, versions: ApiVersions) -> Self {
        self.api_versions = Some(versions);
        self
    }

    /// Is given what is about to be kept of an answer, and gives what is kept instead: at most its first 16 KiB. It is for
    /// what only the application knows to be private, such as the card numbers of its customers, which receivers may repeat.
    ///
    /// The endpoint's own secrets and headers, and all that looks like `whsec_…`, are taken out before. By default the rest is
    /// kept, and hooks see the same. It is called by a worker, so it must not block; where it panics, that is logged and
    /// nothing of the answer is kept.
    pub fn redact_answers(mut self, redact: impl Fn(&Endpoint, Bytes) -> Bytes + Send + Sync + 'static) -> Self {
        self.hooks.redact = Some(Arc::new(redact));
        self
    }

    /// Replaces the clock by which attempts are stamped and secrets end.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Is called when a delivery was answered with a 2xx, after that was noted. It is called by a worker, so it must not block;
    /// where it panics, that is logged and changes nothing. It is not called when the process ends between the two. So it is
    /// with every hook.
    pub fn on_delivered(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.delivered = Some(Arc::new(hook));
        self
    }

    /// Is called for each attempt that did not deliver.
    pub fn on_attempt_failed(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.attempt_failed = Some(Arc::new(hook));
        self
    }

    /// Is called when a delivery is given up: exhausted or refused.
    pub fn on_exhausted(mut self, hook: impl Fn(&Attempted<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.exhausted = Some(Arc::new(hook));
        self
    }

    /// Is called when a worker disables an endpoint. The tenant's other endpoints are told as well, by a message of the type
    /// `endpoint.disabled` that is dispatched in the transaction which disables the endpoint.
    pub fn on_endpoint_disabled(mut self, hook: impl Fn(&Disabled<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.disabled = Some(Arc::new(hook));
        self
    }

    /// Builds the dispatcher.
    ///
    /// # Errors
    /// When neither a sealing key nor plain secrets were chosen, or both were; when the lease does not outlast an attempt;
    /// and when no client was given and [`GuardedClient::new`] fails.
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
                times: self.times,
                room: self.room,
                new_work: Arc::default(),
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

fn receipts(messages: &[Message], dispatched: Vec<Dispatched>) -> Result<Vec<Receipt>, SendError> {
    let receipt = |(message, dispatched): (&Message, Dispatched)| match dispatched {
        Dispatched::Conflict => Err(SendError::new(
            SendErrorKind::Conflict,
            format!("there is another message under the id `{}`", message.message_id()),
        )),
        Dispatched::Known { deliveries } => Ok(Receipt { deliveries, new: false }),
        Dispatched::Stored { deliveries } => Ok(Receipt { deliveries, new: true }),
    };
    let receipts: Vec<_> = messages.iter().zip(dispatched).map(receipt).collect::<Result<_, _>>()?;
    for receipt in receipts.iter().filter(|receipt| receipt.new) {
        observe::dispatched(receipt.deliveries);
    }
    Ok(receipts)
}

fn unanswered() -> SendError {
    SendError::new(SendErrorKind::Store, "the outbox did not say what became of the message")
}

/// From here on a payload is warned of. Standard Webhooks advises to stay below.
const LARGE_PAYLOAD: usize = 20 * 1024;

/// How many rows of a kind are erased in one transaction.
const ERASED_AT_ONCE: u32 = 500;
