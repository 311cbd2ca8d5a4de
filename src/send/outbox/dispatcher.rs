use std::{fmt, ops::Range, sync::Arc, time::SystemTime};

use crate::{
    observe,
    send::{
        error::{SendError, SendErrorKind},
        message::{
            api_versions::ApiVersions,
            message::{Message, check_text},
        },
        outbox::{
            shared::Shared,
            stats::{self, Stats},
            store::{
                delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState},
                ids::SentDeliveryId,
                message::Dispatched,
                stats::{Backlog, Scope},
            },
        },
    },
    transaction::StoreTransaction,
};

/// Dispatches messages to registered endpoints, through an outbox that keeps them. It is cheap to clone, and fits axum's
/// `State`.
///
/// A dispatched message is durable when the call returns, or when the application's transaction is committed. A
/// [`SendWorker`](crate::send::SendWorker), in this process or in others, delivers it.
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

/// The result of dispatching a message.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::{send::{Dispatcher, Message}, store::MemoryOutbox};
///
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// let message = Message::new("order.completed", &7)?;
///
/// let receipt = webhooks.dispatch(message.clone()).await?;
/// assert_eq!((receipt.is_new(), receipt.deliveries()), (true, 0)); // no endpoint wants it yet
/// assert!(!webhooks.dispatch(message).await?.is_new());
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    deliveries: u32,
    new: bool,
}

impl Receipt {
    /// Returns the number of deliveries of the message: one for each enabled endpoint of its tenant that wanted it when it was
    /// first dispatched. Zero is not an error: the message is kept, and [`recover`](crate::send::Endpoints::recover) can still
    /// send it.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Returns `true` if the message did not exist before.
    pub fn is_new(&self) -> bool {
        self.new
    }
}

impl Dispatcher {
    /// Stores a message, and one delivery for each endpoint that wants it. It is durable when this returns.
    ///
    /// Dispatching the same message again changes nothing. A payload of 20 KiB or more logs a warning, since many receivers and
    /// their proxies accept little more.
    ///
    /// # Errors
    /// [`Conflict`](SendErrorKind::Conflict) when there is another message under its id;
    /// [`Invalid`](SendErrorKind::Invalid) when its tenant, version or time is invalid, or its version is not one of the
    /// [`api_versions`](crate::send::DispatcherBuilder::api_versions), if there are any; and when the store fails. It is then
    /// unknown whether the message was stored, and dispatching the same one again is safe.
    pub async fn dispatch(&self, message: Message) -> Result<Receipt, SendError> {
        let receipts = self.dispatch_many(vec![message]).await?;
        receipts.first().copied().ok_or_else(unanswered)
    }

    /// Stores several messages, either all or none. The receipts are in the order of the messages.
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

    /// Stores a message in the application's own transaction, which must be in the store's database. The message exists if the
    /// transaction is committed, and only then.
    ///
    /// A worker finds it within a second, or at once if [`wake`](Self::wake) is called after the commit.
    ///
    /// # Errors
    /// [`Conflict`](SendErrorKind::Conflict) and [`Invalid`](SendErrorKind::Invalid) as [`dispatch`](Self::dispatch): nothing
    /// was written, and the transaction can go on. [`Store`](SendErrorKind::Store) when the transaction is in another
    /// database, or the database fails: roll the transaction back.
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

    /// Makes workers look for due deliveries now: those of this process, and those of other processes if the store can
    /// notify them. Call it after you have committed a transaction with [`dispatch_in`](Self::dispatch_in). All other
    /// methods do this themselves.
    pub fn wake(&self) {
        self.shared.wake();
        self.shared.store.notify();
    }

    pub(crate) fn check(&self, message: &Message) -> Result<(), SendError> {
        message.check()?;
        if let (Some(version), Some(versions)) = (message.api_version(), &self.shared.api_versions)
            && !versions.knows(version)
        {
            return Err(ApiVersions::unknown(version, Some(versions)).with_field("version"));
        }
        let bytes = message.payload().get().len();
        if bytes >= LARGE_PAYLOAD {
            observe::large_payload(message.event_type(), bytes);
        }
        Ok(())
    }

    /// Reads a delivery of any tenant. Ids can be guessed. So if a tenant named the id, compare the record's
    /// [`tenant`](DeliveryRecord::tenant) before you show the delivery, send it again or cancel it; or use
    /// [`tenant`](Self::tenant).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery(&self, id: SentDeliveryId) -> Result<Option<DeliveryRecord>, SendError> {
        Ok(self.shared.store.delivery(id).await?)
    }

    /// Reads a tenant's deliveries, the newest first, a [page](crate::send::Quotas::page) at a time. `None` means those without a
    /// tenant, and not those of all tenants.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when a text of the query contains a NUL; and when the store fails.
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

    /// Reads up to `limit` deliveries of all tenants, the newest first, for operators: in any state, or given up
    /// ([`Refused`](DeliveryState::Refused) or [`Exhausted`](DeliveryState::Exhausted)), and those before a place. It reads at most one more
    /// than a [page](crate::send::Quotas::page), so that a caller sees whether there is another page.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the query asks for another state, or for anything else, which [`deliveries`](Self::deliveries)
    /// finds for one tenant; and when the store fails.
    pub async fn all_deliveries(&self, query: DeliveryQuery, limit: u32) -> Result<Vec<DeliveryRecord>, SendError> {
        let DeliveryQuery { endpoint, state, message, event_type, before } = query;
        let one_tenant = "of all tenants together no deliveries are looked for by this; name a tenant";
        let others = [("endpoint", endpoint.is_some()), ("message", message.is_some()), ("type", event_type.is_some())];
        if let Some((field, _)) = others.into_iter().find(|(_, is_asked)| *is_asked) {
            return Err(SendError::invalid(one_tenant).with_field(field));
        }
        if !matches!(state, None | Some(DeliveryState::Refused | DeliveryState::Exhausted)) {
            let text = "of all tenants together deliveries are looked for in the states `refused` and `exhausted` alone; name a tenant";
            return Err(SendError::invalid(text).with_field("state"));
        }
        let limit = limit.min(self.shared.quotas.page.saturating_add(1));
        Ok(self.shared.store.all_deliveries(state, before, limit).await?)
    }

    /// Reads the attempts of a delivery in order. The list is empty if the delivery does not exist. As with
    /// [`delivery`](Self::delivery), the caller checks the tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts(&self, id: SentDeliveryId) -> Result<Vec<AttemptRecord>, SendError> {
        Ok(self.shared.store.attempts(id).await?)
    }

    /// Reads the outcomes of attempts in a time span, by the hour, and the present backlog: of all tenants, of one, or
    /// of one endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) if the span ends before it begins or is longer than 92 days; and as the store fails.
    pub async fn stats(&self, scope: Scope, span: Range<SystemTime>) -> Result<Stats, SendError> {
        let hours = stats::hours(&span)?;
        let backlog = self.backlog(scope.clone()).await?;
        let cells = self.shared.store.stats(scope, hours.start, hours.end).await?;
        Ok(stats::collect(hours, &cells, backlog))
    }

    /// Reads the backlog: of all tenants, of one, or of one endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) if the tenant's name holds a NUL; and as the store fails.
    pub async fn backlog(&self, scope: Scope) -> Result<Backlog, SendError> {
        if let Some(tenant) = &scope.tenant {
            check_text(tenant)?;
        }
        Ok(self.shared.store.backlog(scope).await?)
    }

    /// Sends a delivery again now, whatever its state, with a new round of attempts. One that waits for a retry stops waiting. It
    /// goes before everything else that waits for its endpoint, and does not wait until the endpoint's rest is over. The numbers of
    /// attempts go on, and the first attempt of the round is [`manual`](AttemptRecord::manual) in the log.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound) when there is nothing to send again: it is being sent at this moment, or it,
    /// its endpoint or its content is gone; and when the store fails.
    pub async fn resend(&self, id: SentDeliveryId) -> Result<(), SendError> {
        if !self.shared.store.resend(id).await? {
            let message =
                "the delivery cannot be sent again: it is being sent, or it, its endpoint or its content is gone";
            return Err(SendError::new(SendErrorKind::NotFound, message));
        }
        self.shared.wake();
        Ok(())
    }

    /// Cancels a delivery that is waiting.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound) when it is not waiting, and when the store fails.
    pub async fn cancel(&self, id: SentDeliveryId) -> Result<(), SendError> {
        let cancelled = self.shared.store.cancel(id).await?;
        let message = "there is nothing to cancel: the delivery does not wait, or is not there";
        if cancelled { Ok(()) } else { Err(SendError::new(SendErrorKind::NotFound, message)) }
    }

    /// Removes all data of a tenant: endpoints with their secrets, messages, deliveries and attempts. Returns the
    /// number of removed rows. It works in small steps until nothing is left. A delivery that is being sent at that
    /// moment may still arrive. Stop dispatching for the tenant first.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the name is empty, since that would erase everything in an application without
    /// tenants; and when the store fails: call it again.
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
    SendError::new(SendErrorKind::Store, "the outbox returned no result for the message")
}

/// The size from which a payload logs a warning. Standard Webhooks recommends smaller ones.
const LARGE_PAYLOAD: usize = 20 * 1024;

/// The number of rows of a kind that are erased in one transaction.
const ERASED_AT_ONCE: u32 = 500;
