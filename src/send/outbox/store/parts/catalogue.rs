use crate::{boxed::BoxFuture, error::StoreError, send::message::event_type::EventTypeDefinition};

/// The part of an [`OutboxStore`](crate::send::OutboxStore) that keeps the catalogue of event types. The contract of all parts is there.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::{send::{EventTypeDefinition, OutboxCatalogue}, store::MemoryOutbox};
///
/// let store = MemoryOutbox::new();
/// store.put_event_types(vec![EventTypeDefinition::new("order.completed")?]).await?;
///
/// assert_eq!(store.event_types().await?[0].name(), "order.completed");
/// assert!(!store.remove_event_type("order.cancelled".to_owned()).await?);
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
pub trait OutboxCatalogue: Send + Sync + 'static {
    /// Adds event types to the catalogue, or replaces those of the same name; either all or none.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Reads the catalogue, sorted by name.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>>;

    /// Removes an event type from the catalogue. Returns `true` if it existed.
    ///
    /// # Errors
    /// When the store cannot be reached.
    fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>>;
}
