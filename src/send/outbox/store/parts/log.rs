use std::{sync::Arc, time::SystemTime};

use crate::{
    boxed::BoxFuture,
    error::StoreError,
    send::outbox::store::{
        delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, Recover, Recovered, Retention},
        history::{BacklogSample, SampleStep},
        ids::{EndpointId, SentDeliveryId},
        message::{MessageQuery, MessageRecord},
        stats::{Backlog, Scope, StatsCell},
    },
};

/// The part of an [`OutboxStore`](crate::send::OutboxStore) that shows messages, deliveries and attempts, changes what waits or has ended,
/// and removes what is old. The contract of all parts is there.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::{
///     send::{DeliveryQuery, DeliveryState, Dispatcher, Message, NewEndpoint, OutboxLog},
///     store::MemoryOutbox,
/// };
///
/// let store = std::sync::Arc::new(MemoryOutbox::new());
/// let webhooks = Dispatcher::builder(store.clone()).with_insecure_plain_secrets().build()?;
/// webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?.tenant("acme")).await?;
/// webhooks.dispatch(Message::new("order.completed", &7)?.tenant("acme")).await?;
///
/// let id = store.deliveries("acme".into(), DeliveryQuery::default(), 10).await?[0].id;
/// assert!(store.cancel(id).await?);
/// assert!(!store.cancel(id).await?); // it does not wait any longer
/// assert!(store.resend(id).await?);
/// assert_eq!(store.delivery(id).await?.map(|delivery| delivery.state), Some(DeliveryState::Pending));
/// assert!(store.attempts(id).await?.is_empty());
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub trait OutboxLog: Send + Sync + 'static {
    /// Reads a delivery.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>>;

    /// Reads up to `limit` deliveries of a tenant that match the query, the newest first.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn deliveries(
        &self,
        tenant: Arc<str>,
        query: DeliveryQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>>;

    /// Reads up to `limit` deliveries of all tenants, the newest first: those before a place, in any state, or in one
    /// of those in which a delivery was given up, [`Refused`](DeliveryState::Refused) and
    /// [`Exhausted`](DeliveryState::Exhausted). It is not called with another state.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn all_deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<SentDeliveryId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>>;

    /// Reads a message of a tenant with its payload.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>>;

    /// Reads up to `limit` messages of a tenant without their payloads, the newest first: by the time at which they were
    /// dispatched, then by their number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn messages(
        &self,
        tenant: Arc<str>,
        query: MessageQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>>;

    /// Reads the attempts of a delivery in order.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>>;

    /// Makes a delivery due now, for another round of attempts (rules 17 and 18), and replaces a retry that it waits for. Returns
    /// `true` if that was possible: it is not while a worker holds the delivery, nor if its endpoint or its content is gone. If the
    /// endpoint is disabled, the delivery is held.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Cancels a delivery that is pending or held, or whose lease has passed. Returns `true` if it was cancelled.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Makes due what an endpoint missed of the messages that were dispatched in a time span: its refused and exhausted
    /// deliveries, and those that were not created because it was disabled or did not exist. Cancelled deliveries stay
    /// cancelled. It looks at up to `limit` messages in one transaction; [`Recovered::next`] is where to go on.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>>;

    /// Removes what a tenant has: its endpoints, deliveries, attempts and messages, up to about `limit` rows of each kind. Returns
    /// the number of rows, which is 0 if nothing is left.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Drops the content (payloads and answers), and later the rows, of what ended long ago, up to about `limit` rows of each kind.
    /// A message has ended with the last attempt of its deliveries, or with its dispatch if that is later. A delivery that was held
    /// for as long as rows are kept is cancelled. If a worker died on a delivery, it is held if its endpoint is disabled, and
    /// cancelled if its endpoint is gone, since nothing else would change it.
    ///
    /// Returns the number of rows that it changed or removed, which is 0 if there is nothing to do for now. Workers call it once a
    /// minute, and again at once after `limit` rows or more. So it must not read what is not old, nor read again and again what is
    /// old and still awaited. Each of its steps holds its locks for a few milliseconds.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Reads the counts of attempts by outcome and duration, in the hours from `since` (included) to `until`
    /// (excluded), in whole hours since the Unix epoch. Cells of different endpoints are added up; the cells are in the
    /// order of their hours.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>>;

    /// Notes what waits of all tenants, unless that was done in this minute (rule 23). Returns `true` if it was done now.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Reads what was noted of the steps that begin from `since` to before `until`, in their order.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn backlog_samples(
        &self,
        step: SampleStep,
        since: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>>;

    /// Reads what waits to be sent.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>>;
}
