use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;
#[cfg(feature = "api")]
use zeroize::Zeroizing;

#[cfg(feature = "api")]
use crate::send::outbox::store::endpoint::Sealed;
use crate::{
    clock::Clock,
    net::destination::DestinationPolicy,
    observe,
    queue::Room,
    send::{
        attempt::Transport,
        error::{SendError, SendErrorKind},
        message::{
            api_versions::ApiVersions,
            message::{Message, check_text},
        },
        outbox::{
            builder::DispatcherBuilder,
            endpoints::Endpoints,
            event_types::EventTypes,
            hooks::Hooks,
            quotas::Quotas,
            stats::{self, Stats},
            store::{
                OutboxStore,
                delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, Retention},
                ids::OutboxId,
                message::Dispatched,
                stats::{Backlog, Scope},
            },
            tenant::Tenant,
            worker::SendWorker,
        },
        retry::RetryPolicy,
        signing::seal::Sealer,
    },
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
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn OutboxStore>,
    pub(crate) sealer: Sealer,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) policy: DestinationPolicy,
    pub(crate) retries: RetryPolicy,
    pub(crate) hooks: Hooks,
    pub(crate) quotas: Quotas,
    pub(crate) api_versions: Option<ApiVersions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) attempt_header: bool,
    pub(crate) times: Times,
    pub(crate) room: Room,
    pub(crate) new_work: Arc<Notify>,
    /// There is something to purge now.
    pub(crate) to_purge: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) attempt: Duration,
    pub(crate) lease: Duration,
    pub(crate) disable_after: Duration,
    pub(crate) retention: Retention,
}

impl Shared {
    /// Tells the workers of this process that there may be work.
    pub(crate) fn wake(&self) {
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
    /// How many deliveries there are of the message: one for each enabled endpoint of its tenant that wanted it when it was
    /// dispatched first. None is no error: the message is kept, and [`recover`](Endpoints::recover) can still send it.
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
        DispatcherBuilder::new(Arc::new(store))
    }

    /// The endpoints.
    pub fn endpoints(&self) -> Endpoints<'_> {
        Endpoints(self)
    }

    /// Returns what one tenant has, and nothing of the others. An empty name is the application without tenants.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) if the name is longer than 256 characters or holds control characters.
    pub fn tenant(&self, name: impl Into<Arc<str>>) -> Result<Tenant, SendError> {
        Tenant::new(self.clone(), name.into())
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
    /// A worker finds it when it next looks, within a second, or at once where [`wake`](Self::wake) is called after the commit.
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

    /// Seals an answer of the API that may show a secret, for as long as it is kept. `of` names the request, so that what was
    /// sealed for one cannot be put in the place of another.
    #[cfg(feature = "api")]
    pub(crate) fn seal_answer(&self, of: &str, plain: &[u8]) -> Result<Sealed, SendError> {
        self.shared.sealer.seal_as(&format!("{SEALED_ANSWER} {of}"), plain)
    }

    /// Opens an answer of the API that was kept.
    #[cfg(feature = "api")]
    pub(crate) fn open_answer(&self, of: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        self.shared.sealer.open_as(&format!("{SEALED_ANSWER} {of}"), sealed)
    }

    /// Returns the time.
    #[cfg(feature = "api")]
    pub(crate) fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Returns how many rows a page of a list has at most.
    #[cfg(feature = "api")]
    pub(crate) fn page(&self) -> u32 {
        self.shared.quotas.page
    }

    /// Has workers look for work now: those of this process, and those of others where the store can tell them. It is for what
    /// [`dispatch_in`](Self::dispatch_in) wrote, once that is committed; all other calls do it by themselves.
    pub fn wake(&self) {
        self.shared.wake();
        self.shared.store.notify();
    }

    fn check(&self, message: &Message) -> Result<(), SendError> {
        message.check()?;
        if let (Some(version), Some(versions)) = (message.api_version(), &self.shared.api_versions)
            && !versions.knows(version)
        {
            return Err(SendError::unknown_version(version, Some(versions)).with_field("version"));
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

    /// Reads a tenant's deliveries, the newest first, a [page](Quotas::page) at a time. `None` is whose endpoints and messages
    /// name no tenant, not all tenants together.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when a text of the query holds a NUL; and as the store fails.
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
        let tenant = tenant.unwrap_or_default();
        for text in [Some(tenant), query.message.as_deref(), query.event_type.as_deref()].into_iter().flatten() {
            check_text(text)?;
        }
        let tenant = Arc::from(tenant);
        Ok(self.shared.store.deliveries(tenant, query, self.shared.quotas.page).await?)
    }

    /// Reads the attempts of a delivery, in their order; none where there is no such delivery. As with
    /// [`delivery`](Self::delivery), whose it is is for the caller to check.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts(&self, id: OutboxId) -> Result<Vec<AttemptRecord>, SendError> {
        Ok(self.shared.store.attempts(id).await?)
    }

    /// Reads how attempts ended over a span of time, by the hour, and what waits now: of all tenants, of one, or of one endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) if the span ends before it begins or is longer than 92 days; and as the store fails.
    pub async fn stats(&self, scope: Scope, span: Range<SystemTime>) -> Result<Stats, SendError> {
        let hours = stats::hours(&span)?;
        if let Some(tenant) = &scope.tenant {
            check_text(tenant)?;
        }
        let backlog = self.shared.store.backlog(scope.clone()).await?;
        let cells = self.shared.store.stats(scope, hours.start, hours.end).await?;
        Ok(stats::collect(hours, &cells, backlog))
    }

    /// Reads what waits to be sent: of all tenants, of one, or of one endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) if the tenant's name holds a NUL; and as the store fails.
    pub async fn backlog(&self, scope: Scope) -> Result<Backlog, SendError> {
        if let Some(tenant) = &scope.tenant {
            check_text(tenant)?;
        }
        Ok(self.shared.store.backlog(scope).await?)
    }

    /// Sends a delivery now, whatever became of it, with another round of attempts before it. One that waits for a retry does not
    /// wait any longer. It goes before all else that waits for its endpoint, and does not wait for the endpoint's rest. Attempts are
    /// numbered on, and the first one of the round is [`manual`](AttemptRecord::manual) in the log.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound) when there is nothing to send again: it is being sent at this moment, or it,
    /// its endpoint or its content is gone. And as the store fails.
    pub async fn resend(&self, id: OutboxId) -> Result<(), SendError> {
        if !self.shared.store.resend(id).await? {
            let message =
                "the delivery cannot be sent again: it is being sent, or it, its endpoint or its content is gone";
            return Err(SendError::new(SendErrorKind::NotFound, message));
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
        let message = "there is nothing to cancel: the delivery does not wait, or is not there";
        if cancelled { Ok(()) } else { Err(SendError::new(SendErrorKind::NotFound, message)) }
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
        check_text(name)?;
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

/// The name under which answers of the API are sealed; no id of an endpoint is like it.
#[cfg(feature = "api")]
const SEALED_ANSWER: &str = "answer of";

/// From here on a payload is warned of. Standard Webhooks advises to stay below.
const LARGE_PAYLOAD: usize = 20 * 1024;

/// How many rows of a kind are erased in one transaction.
const ERASED_AT_ONCE: u32 = 500;
