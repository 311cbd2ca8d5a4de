use std::{collections::HashSet, fmt};

use crate::send::{
    error::SendError,
    message::{event_type::EventTypeDefinition, message::check_text},
    outbox::{dispatcher::Dispatcher, quotas::too_many},
};

/// The catalogue of a [`Dispatcher`]'s event types, which [`Dispatcher::event_types`] returns.
///
/// It informs customers, and has no other effect: a message is dispatched whether or not its type is in the catalogue.
///
/// ```
/// # #[cfg(feature = "sqlite")] mod example {
/// use tower_webhooks::send::{Dispatcher, EventTypeDefinition};
///
/// # async fn run(webhooks: Dispatcher) -> Result<(), Box<dyn std::error::Error>> {
/// let completed = EventTypeDefinition::new("order.completed")?.description("An order was paid and packed.")?;
/// webhooks.event_types().put([completed]).await?;
///
/// assert_eq!(webhooks.event_types().list().await?.len(), 1);
/// assert!(webhooks.event_types().remove("order.cancelled").await.is_err()); // it does not exist
/// # Ok(()) }
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct EventTypes<'a>(pub(crate) &'a Dispatcher);

impl Dispatcher {
    /// Returns the catalogue of event types.
    pub fn event_types(&self) -> EventTypes<'_> {
        EventTypes(self)
    }
}

impl EventTypes<'_> {
    /// Adds event types, either all or none, and replaces those of the same name. It is safe to add the same ones at every start.
    ///
    /// # Errors
    /// [`TooMany`](crate::send::SendErrorKind::TooMany) when the catalogue would hold more than
    /// [`Quotas::event_types`](crate::send::Quotas::event_types), and when the store fails.
    pub async fn put(&self, event_types: impl IntoIterator<Item = EventTypeDefinition>) -> Result<(), SendError> {
        let event_types: Vec<_> = event_types.into_iter().collect();
        let shared = &self.0.shared;
        let most = shared.quotas.event_types;
        let known = shared.store.event_types().await?;
        let names: HashSet<_> = known.iter().chain(&event_types).map(EventTypeDefinition::name).collect();
        // A catalogue that is over a lowered quota can still be corrected.
        if names.len() > usize::try_from(most).unwrap_or(usize::MAX).max(known.len()) {
            return Err(too_many("event types", most));
        }
        Ok(shared.store.put_event_types(event_types).await?)
    }

    /// Reads the catalogue, sorted by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<EventTypeDefinition>, SendError> {
        Ok(self.0.shared.store.event_types().await?)
    }

    /// Removes an event type.
    ///
    /// # Errors
    /// [`NotFound`](crate::send::SendErrorKind::NotFound); [`Invalid`](crate::send::SendErrorKind::Invalid) when the name contains a NUL; and
    /// when the store fails.
    pub async fn remove(&self, name: &str) -> Result<(), SendError> {
        check_text(name)?;
        let there = self.0.shared.store.remove_event_type(name.to_owned()).await?;
        if there { Ok(()) } else { Err(SendError::not_found("event type")) }
    }
}

impl fmt::Debug for EventTypes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTypes").finish_non_exhaustive()
    }
}
