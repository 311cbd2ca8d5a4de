use std::{
    fmt,
    ops::{Range, RangeBounds},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    secret::Secret,
    send::{
        error::SendError,
        message::message::{Message, check_tenant},
        outbox::{
            dispatcher::{Dispatcher, Receipt},
            endpoint::{Endpoint, EndpointUpdate, NewEndpoint, NewSecret},
            stats::Stats,
            store::{
                delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord},
                ids::{EndpointId, SentDeliveryId},
                message::{MessageQuery, MessageRecord},
                stats::Scope,
            },
        },
    },
};

/// The endpoints, messages and deliveries of one tenant only.
///
/// [`Dispatcher::tenant`] creates it. It does not find ids of other tenants, so its callers do not have to compare tenants. It is
/// cheap to clone.
///
/// ```
/// use tower_webhooks::send::{Dispatcher, Message, NewEndpoint};
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::store::MemoryOutbox;
///
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// let (acme, globex) = (webhooks.tenant("acme")?, webhooks.tenant("globex")?);
///
/// let id = acme.endpoints().create(NewEndpoint::new("https://acme.example/hook")?).await?.endpoint().id();
/// acme.dispatch(Message::new("order.completed", &7)?).await?;
///
/// assert!(acme.endpoints().get(id).await?.is_some());
/// assert!(globex.endpoints().get(id).await?.is_none());
/// assert!(globex.endpoints().delete(id).await.is_err());
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Tenant {
    dispatcher: Dispatcher,
    name: Arc<str>,
}

impl Dispatcher {
    /// Returns a handle for one tenant, which finds nothing of the others. An empty name means an application without tenants.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) if the name is longer than 256 characters or contains control characters.
    pub fn tenant(&self, name: impl Into<Arc<str>>) -> Result<Tenant, SendError> {
        Tenant::new(self.clone(), name.into())
    }
}

impl Tenant {
    pub(crate) fn new(dispatcher: Dispatcher, name: Arc<str>) -> Result<Self, SendError> {
        check_tenant(&name)?;
        Ok(Self { dispatcher, name })
    }

    /// Returns the tenant's name; empty in an application without tenants.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the tenant's endpoints.
    pub fn endpoints(&self) -> TenantEndpoints<'_> {
        TenantEndpoints(self)
    }

    /// Stores a message of the tenant, as [`Dispatcher::dispatch`] does. It replaces a tenant that the message names.
    ///
    /// # Errors
    /// As [`Dispatcher::dispatch`].
    pub async fn dispatch(&self, message: Message) -> Result<Receipt, SendError> {
        self.dispatcher.dispatch(message.tenant(self.name.clone())).await
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn message(&self, id: &str) -> Result<Option<MessageRecord>, SendError> {
        Ok(self.dispatcher.shared.store.message(self.name.clone(), id.to_owned()).await?)
    }

    /// Reads up to `limit` messages, the newest first and without their payloads. It reads at most one more than a
    /// [page](crate::send::Quotas::page), so that a caller sees whether there is another page.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(&self, query: MessageQuery, limit: u32) -> Result<Vec<MessageRecord>, SendError> {
        let limit = limit.min(self.dispatcher.shared.quotas.page.saturating_add(1));
        Ok(self.dispatcher.shared.store.messages(self.name.clone(), query, limit).await?)
    }

    /// Reads a delivery.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery(&self, id: SentDeliveryId) -> Result<Option<DeliveryRecord>, SendError> {
        Ok(self.dispatcher.delivery(id).await?.filter(|delivery| *delivery.tenant == *self.name))
    }

    /// Reads up to `limit` deliveries, the newest first; as with [`messages`](Self::messages), at most one more than a page.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliveries(&self, query: DeliveryQuery, limit: u32) -> Result<Vec<DeliveryRecord>, SendError> {
        let limit = limit.min(self.dispatcher.shared.quotas.page.saturating_add(1));
        Ok(self.dispatcher.shared.store.deliveries(self.name.clone(), query, limit).await?)
    }

    /// Reads the outcomes of attempts in a time span, by the hour, and the present backlog: of all endpoints of the
    /// tenant, or of one. For an endpoint of another tenant all counts are zero.
    ///
    /// # Errors
    /// As [`Dispatcher::stats`].
    pub async fn stats(&self, endpoint: Option<EndpointId>, span: Range<SystemTime>) -> Result<Stats, SendError> {
        let mut scope = Scope::tenant(self.name.clone());
        scope.endpoint = endpoint;
        self.dispatcher.stats(scope, span).await
    }

    /// Reads the attempts of a delivery in order. `None` if the tenant has no such delivery.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts(&self, id: SentDeliveryId) -> Result<Option<Vec<AttemptRecord>>, SendError> {
        match self.delivery(id).await? {
            Some(_) => Ok(Some(self.dispatcher.attempts(id).await?)),
            None => Ok(None),
        }
    }

    /// Sends a delivery now, as [`Dispatcher::resend`] does.
    ///
    /// # Errors
    /// [`NotFound`](crate::send::SendErrorKind::NotFound) if the tenant has no such delivery, and as [`Dispatcher::resend`].
    pub async fn resend(&self, id: SentDeliveryId) -> Result<(), SendError> {
        self.own_delivery(id).await?;
        self.dispatcher.resend(id).await
    }

    /// Cancels a delivery that is waiting, as [`Dispatcher::cancel`] does.
    ///
    /// # Errors
    /// [`NotFound`](crate::send::SendErrorKind::NotFound) if the tenant has no such delivery, and as [`Dispatcher::cancel`].
    pub async fn cancel(&self, id: SentDeliveryId) -> Result<(), SendError> {
        self.own_delivery(id).await?;
        self.dispatcher.cancel(id).await
    }

    /// Removes all data of the tenant, as [`Dispatcher::erase_tenant`] does. Returns the number of removed rows.
    ///
    /// # Errors
    /// As [`Dispatcher::erase_tenant`].
    pub async fn erase(&self) -> Result<u64, SendError> {
        self.dispatcher.erase_tenant(&self.name).await
    }

    // Neither a delivery nor an endpoint ever changes its tenant, and no id is given twice, so what was the tenant's when it
    // was looked at is the tenant's when it is changed.
    async fn own_delivery(&self, id: SentDeliveryId) -> Result<DeliveryRecord, SendError> {
        self.delivery(id).await?.ok_or_else(|| SendError::not_found("delivery"))
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The endpoints of one [`Tenant`], which [`Tenant::endpoints`] returns.
///
/// Each method does what the method of the same name of [`Endpoints`](crate::send::Endpoints) does, for the tenant's own
/// endpoints. All others are [`NotFound`](crate::send::SendErrorKind::NotFound).
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{EndpointId, SendError, Tenant};
///
/// # async fn run(acme: Tenant, id: EndpointId) -> Result<(), SendError> {
/// acme.endpoints().rotate_secret(id, Duration::from_secs(24 * 3600)).await?;
/// acme.endpoints().disable(id).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct TenantEndpoints<'a>(&'a Tenant);

impl TenantEndpoints<'_> {
    /// Registers an endpoint. It replaces a tenant that the endpoint names.
    ///
    /// # Errors
    /// As [`Endpoints::create`](crate::send::Endpoints::create).
    pub async fn create(&self, endpoint: NewEndpoint) -> Result<NewSecret, SendError> {
        self.0.dispatcher.endpoints().create(endpoint.tenant(self.0.name.clone())).await
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: EndpointId) -> Result<Option<Endpoint>, SendError> {
        let endpoint = self.0.dispatcher.endpoints().get(id).await?;
        Ok(endpoint.filter(|endpoint| endpoint.tenant().unwrap_or_default() == &*self.0.name))
    }

    /// Reads up to `limit` endpoints in the order of their ids, those after `after`; as with [`messages`](Tenant::messages), at most
    /// one more than a page.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, after: Option<EndpointId>, limit: u32) -> Result<Vec<Endpoint>, SendError> {
        let shared = &self.0.dispatcher.shared;
        let limit = limit.min(shared.quotas.page.saturating_add(1));
        let records = shared.store.endpoints(Some(self.0.name.clone()), after, limit).await?;
        Ok(records.into_iter().map(Endpoint).collect())
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// As [`Endpoints::update`](crate::send::Endpoints::update).
    pub async fn update(&self, id: EndpointId, update: EndpointUpdate) -> Result<Endpoint, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().update(id, update).await
    }

    /// Creates a new secret for an endpoint. Until `overlap` has passed, the old one signs as well.
    ///
    /// # Errors
    /// As [`Endpoints::rotate_secret`](crate::send::Endpoints::rotate_secret).
    pub async fn rotate_secret(&self, id: EndpointId, overlap: Duration) -> Result<NewSecret, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().rotate_secret(id, overlap).await
    }

    /// Replaces the secret of an endpoint by one that its owner has chosen.
    ///
    /// # Errors
    /// As [`Endpoints::rotate_secret_to`](crate::send::Endpoints::rotate_secret_to).
    pub async fn rotate_secret_to(
        &self,
        id: EndpointId,
        overlap: Duration,
        secret: Secret,
    ) -> Result<NewSecret, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().rotate_secret_to(id, overlap, secret).await
    }

    /// Enables an endpoint.
    ///
    /// # Errors
    /// As [`Endpoints::enable`](crate::send::Endpoints::enable).
    pub async fn enable(&self, id: EndpointId) -> Result<(), SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().enable(id).await
    }

    /// Disables an endpoint.
    ///
    /// # Errors
    /// As [`Endpoints::disable`](crate::send::Endpoints::disable).
    pub async fn disable(&self, id: EndpointId) -> Result<(), SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().disable(id).await
    }

    /// Removes an endpoint, and cancels its waiting deliveries.
    ///
    /// # Errors
    /// As [`Endpoints::delete`](crate::send::Endpoints::delete).
    pub async fn delete(&self, id: EndpointId) -> Result<(), SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().delete(id).await
    }

    /// Sends a ping to an endpoint. Returns its delivery.
    ///
    /// # Errors
    /// As [`Endpoints::ping`](crate::send::Endpoints::ping).
    pub async fn ping(&self, id: EndpointId) -> Result<SentDeliveryId, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().ping(id).await
    }

    /// Sends the example of an event type of the catalogue to an endpoint. Returns its delivery.
    ///
    /// # Errors
    /// As [`Endpoints::send_example`](crate::send::Endpoints::send_example).
    pub async fn send_example(&self, id: EndpointId, event_type: &str) -> Result<SentDeliveryId, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().send_example(id, event_type).await
    }

    /// Sends what an endpoint missed in a time span. Returns the number of deliveries.
    ///
    /// # Errors
    /// As [`Endpoints::recover`](crate::send::Endpoints::recover).
    pub async fn recover(&self, id: EndpointId, span: impl RangeBounds<SystemTime>) -> Result<u64, SendError> {
        self.own(id).await?;
        self.0.dispatcher.endpoints().recover(id, span).await
    }

    async fn own(&self, id: EndpointId) -> Result<Endpoint, SendError> {
        self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))
    }
}

impl fmt::Debug for TenantEndpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantEndpoints").field(&self.0.name).finish()
    }
}
