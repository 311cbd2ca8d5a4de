use std::sync::Arc;

use crate::{
    boxed::BoxFuture,
    error::StoreError,
    queue::Fenced,
    send::outbox::store::{
        endpoint::{DisabledReason, EndpointDraft, EndpointRecord, EndpointSettings},
        ids::EndpointId,
    },
};

/// The part of an [`OutboxStore`](crate::send::OutboxStore) that keeps endpoints. The contract of all parts is there.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::{
///     send::{DisabledReason, EndpointDraft, EndpointId, EndpointSettings, Fenced, OutboxEndpoints, Sealed, Style},
///     store::MemoryOutbox,
/// };
///
/// let store = MemoryOutbox::new();
/// let sealed = Sealed::new("", "the secrets of the endpoint");
/// let settings = EndpointSettings::new("https://example.com/hook", vec!["*".into()], Style::XWebhook, sealed);
/// let draft = EndpointDraft::new(EndpointId::random()?, "acme", settings);
/// let endpoint = store.create_endpoint(draft, 100).await?.expect("the tenant has fewer than 100 endpoints");
///
/// // Of two changes of the same revision, the second one does not apply.
/// let change = || store.change_endpoint(endpoint.id, endpoint.revision, endpoint.settings.clone());
/// assert_eq!((change().await?, change().await?), (Fenced::Applied, Fenced::Stale));
///
/// assert!(store.switch_endpoint(endpoint.id, Some(DisabledReason::Asked)).await?);
/// assert_eq!(store.endpoints(Some("acme".into()), None, 10).await?[0].disabled, Some(DisabledReason::Asked));
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub trait OutboxEndpoints: Send + Sync + 'static {
    /// Adds an endpoint. Returns `None` if its tenant has `most` endpoints already. Concurrent calls cannot exceed the limit
    /// together.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn create_endpoint(
        &self,
        endpoint: EndpointDraft,
        most: u32,
    ) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;

    /// Reads up to `limit` endpoints of a tenant, or of all tenants, in the order of their ids: those after `after`. The tenant of
    /// an application without tenants is empty.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn endpoints(
        &self,
        tenant: Option<Arc<str>>,
        after: Option<EndpointId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>>;

    /// Reads the ids of the endpoints that [`endpoints`](Self::endpoints) leaves out, since their rows cannot be read. The default
    /// returns an empty list.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Replaces the settings of an endpoint if it still has this revision. [`Stale`](Fenced::Stale) if it has another one, or does
    /// not exist.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn change_endpoint(
        &self,
        id: EndpointId,
        revision: u64,
        settings: EndpointSettings,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Enables an endpoint, or disables it for a reason. Returns `true` if it exists. The switch takes effect at once. A store may
    /// change the states of very many deliveries in steps, and leave some of them to [`purge`](crate::send::OutboxLog::purge).
    /// Until then they are shown in their later state.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn switch_endpoint(
        &self,
        id: EndpointId,
        disabled: Option<DisabledReason>,
    ) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Removes an endpoint. Its pending and held deliveries are cancelled, and one that is being sent is cancelled when it fails.
    /// Returns `true` if the endpoint existed.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>>;
}
