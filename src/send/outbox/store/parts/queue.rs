use std::any::Any;

use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    queue::{Fenced, LeaseToken},
    send::{
        message::message::Message,
        outbox::store::{
            endpoint::DisabledReason,
            ids::{EndpointId, SentDeliveryId},
            lease::{Finish, LeaseRequest, Leases},
            message::Dispatched,
        },
    },
};

/// The part of an [`OutboxStore`](crate::send::OutboxStore) that takes messages and hands deliveries to workers. The contract of all
/// parts is there.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_webhooks::{
///     send::{
///         After, EndpointDraft, EndpointId, EndpointSettings, Fenced, Finish, LeaseRequest, LeaseToken, Message,
///         OutboxEndpoints, OutboxQueue, Sealed, Style,
///     },
///     store::MemoryOutbox,
/// };
///
/// let store = MemoryOutbox::new();
/// let sealed = Sealed::new("", "the secrets of the endpoint");
/// let settings = EndpointSettings::new("https://example.com/hook", vec!["order.*".into()], Style::XWebhook, sealed);
/// store.create_endpoint(EndpointDraft::new(EndpointId::random()?, "acme", settings), 100).await?;
/// store.dispatch(vec![Message::new("order.completed", &7)?.tenant("acme")]).await?;
///
/// let token = LeaseToken::random()?;
/// let leases = store.lease(LeaseRequest::new(token, Duration::from_secs(30), 10)).await?;
/// let delivery = &leases.deliveries[0];
/// assert_eq!((delivery.attempt, delivery.message.event_type()), (1, "order.completed"));
///
/// let (noted, disabled) = store.finish(delivery.id, token, Finish::new(After::Delivered)).await?;
/// assert_eq!((noted, disabled), (Fenced::Applied, None));
/// // The lease has ended, so its token changes nothing any longer.
/// let (again, _) = store.finish(delivery.id, token, Finish::new(After::Exhausted)).await?;
/// assert_eq!(again, Fenced::Stale);
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub trait OutboxQueue: Send + Sync + 'static {
    /// Stores messages and makes their deliveries. The results are in the order of the messages.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>>;

    /// Does what [`dispatch`](Self::dispatch) does inside the application's transaction: `connection` is what
    /// [`StoreTransaction::connection`](crate::transaction::StoreTransaction::connection) lends.
    ///
    /// # Errors
    /// [`WrongTransaction`](StoreErrorKind::WrongTransaction) when the connection does not belong to this store's database, which is
    /// also the default for stores without transactions; otherwise as [`dispatch`](Self::dispatch).
    fn dispatch_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>> {
        let _ = (connection, messages);
        Box::pin(std::future::ready(Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "this store has no transactions to join",
        ))))
    }

    /// Stores a message for one endpoint of its tenant only, whatever its patterns are, with one pending delivery. The same
    /// message again returns the same delivery. `None` if the endpoint does not exist or is disabled, and if there is another
    /// message with this id. [`recover`](crate::send::OutboxLog::recover) never gives such a message to another endpoint.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn dispatch_to(
        &self,
        endpoint: EndpointId,
        message: Message,
    ) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>>;

    /// Calls `wake` when something that another process dispatched may be due, for as long as the future is polled. It only saves
    /// time: workers also look regularly. The default is ready at once, for a store that has nothing to listen to.
    fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()> {
        drop(wake);
        Box::pin(std::future::ready(()))
    }

    /// Notifies other processes that something may be due, if the store can: see [`listen`](Self::listen). The store does this
    /// itself after its own commits. The default does nothing.
    fn notify(&self) {}

    /// Leases deliveries that are due.
    ///
    /// # Errors
    /// When the store cannot be reached; what was leased comes back when the lease ends.
    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>>;

    /// Stores how an attempt ended. Returns the reason if that has disabled the endpoint.
    ///
    /// # Errors
    /// When the store cannot be reached. The delivery is then sent again when its lease ends, unless the call is repeated.
    fn finish(
        &self,
        id: SentDeliveryId,
        token: LeaseToken,
        finish: Finish,
    ) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>>;
}
