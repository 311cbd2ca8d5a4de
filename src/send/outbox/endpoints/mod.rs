//! The endpoints of a dispatcher. What an endpoint cannot be is in `check`, the change of secrets in `secrets`.

mod check;
pub(crate) mod secrets;

use std::{
    fmt,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    observe,
    queue::Fenced,
    send::{
        error::{SendError, SendErrorKind},
        message::{
            message::{Message, check_tenant, check_text},
            own::ENDPOINT_PING,
        },
        outbox::{
            dispatcher::Dispatcher,
            endpoint::{Endpoint, EndpointUpdate, NewEndpoint, NewSecret},
            endpoints::check::check_description,
            quotas::too_many,
            shared::Shared,
            store::{
                delivery::Recover,
                endpoint::{DisabledReason, EndpointDraft, EndpointSettings},
                ids::{EndpointId, OutboxId},
            },
        },
        signing::profile::{Profile, chosen_or_random, shown_secret},
    },
};

/// The endpoints of a [`Dispatcher`]: [`Dispatcher::endpoints`] lends it.
///
/// An endpoint is found by its id whoever's it is. Before one that a tenant named is shown or changed, compare its
/// [`tenant`](Endpoint::tenant) with theirs.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{DisabledReason, Dispatcher, EndpointUpdate, NewEndpoint, SealingKey};
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::store::MemoryOutbox;
///
/// let key = SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?;
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).sealing_key(key).build()?;
/// let endpoints = webhooks.endpoints();
///
/// let created = endpoints.create(NewEndpoint::new("https://example.com/hook")?.tenant("acme").events(["order.*"])).await?;
/// let id = created.endpoint().id();
/// assert!(created.reveal().starts_with("whsec_")); // to be shown to its owner, now or never
///
/// let update = EndpointUpdate::new().events(["order.*", "refund.*"]).if_revision(created.endpoint().revision());
/// endpoints.update(id, update.clone()).await?;
/// assert!(endpoints.update(id, update).await.is_err()); // somebody was faster
///
/// let rotated = endpoints.rotate_secret(id, Duration::from_secs(24 * 3600)).await?; // until then both sign
/// assert_ne!(rotated.reveal(), created.reveal());
///
/// endpoints.disable(id).await?;
/// assert_eq!(endpoints.list(Some("acme")).await?[0].disabled(), Some(DisabledReason::Asked));
/// endpoints.enable(id).await?;
/// endpoints.delete(id).await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy)]
pub struct Endpoints<'a>(pub(crate) &'a Dispatcher);

impl Dispatcher {
    /// The endpoints.
    pub fn endpoints(&self) -> Endpoints<'_> {
        Endpoints(self)
    }
}

impl Endpoints<'_> {
    /// The longest description, in characters.
    pub const LONGEST_DESCRIPTION: usize = check::LONGEST_DESCRIPTION;

    /// Registers an endpoint. The answer shows its secret, which nothing else does but a rotation.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when deliveries may not go to its URL, or the tenant's name, a pattern, the secret,
    /// the description or the API version cannot be; [`TooMany`](SendErrorKind::TooMany) when the tenant has as many
    /// endpoints as it may, or the endpoint more patterns: see [`Quotas`](crate::send::Quotas); and as the store fails.
    pub async fn create(&self, endpoint: NewEndpoint) -> Result<NewSecret, SendError> {
        self.0.shared.check_url(&endpoint.url)?;
        check_tenant(&endpoint.tenant)?;
        self.0.shared.check_events(&endpoint.events)?;
        check_description(&endpoint.description)?;
        self.0.shared.check_version(endpoint.api_version.as_deref())?;
        let secret = chosen_or_random(endpoint.style, endpoint.secret)?;
        let shown = shown_secret(endpoint.style, &secret)?;

        let id = EndpointId::random().map_err(SendError::randomness)?;
        let mut profile = Profile::new(&secret)?;
        profile.set_headers(&endpoint.headers);
        let sealed = profile.seal(&self.0.shared.sealer, id)?;
        let mut settings = EndpointSettings::new(endpoint.url.as_str(), endpoint.events, endpoint.style, sealed);
        settings.description = endpoint.description;
        settings.rate_limit = endpoint.rate_limit;
        settings.api_version = endpoint.api_version;
        settings.in_order = endpoint.in_order;
        let draft = EndpointDraft::new(id, endpoint.tenant, settings);
        let most = self.0.shared.quotas.endpoints;
        let record = self.0.shared.store.create_endpoint(draft, most).await?;
        let created = Endpoint(record.ok_or_else(|| too_many("endpoints", most))?);

        let mut ping = None;
        if endpoint.ping {
            // The secret has to be shown now or never, whatever becomes of the ping.
            match self.ping_endpoint(&created).await {
                Ok(delivery) => ping = Some(delivery),
                Err(error) => observe::not_pinged(&id, &error),
            }
        }
        Ok(NewSecret { endpoint: created, secret: shown, ping })
    }

    /// Sends an endpoint a message of the type `endpoint.ping`, whatever its patterns say, so that its owner sees whether
    /// it works. It is a delivery like any other: in the log, with its retries and limits. Its payload is
    /// `{"endpoint": "ep_…"}`.
    ///
    /// In each ten seconds an endpoint is pinged once, and later calls are told of that delivery: a button is no hose.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Disabled`](SendErrorKind::Disabled) when the endpoint is; and as the store
    /// fails.
    pub async fn ping(&self, id: EndpointId) -> Result<OutboxId, SendError> {
        let endpoint = self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
        self.ping_endpoint(&endpoint).await
    }

    async fn ping_endpoint(&self, endpoint: &Endpoint) -> Result<OutboxId, SendError> {
        let id = endpoint.id();
        let now = self.0.shared.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let message_id = format!("{id}:ping:{}", now - now % BETWEEN_PINGS);
        let message = Message::new(ENDPOINT_PING, &json!({ "endpoint": id.to_string() }))
            .and_then(|message| Ok(message.id(message_id.parse()?)))
            .map_err(|cause| SendError::new(SendErrorKind::Randomness, "a ping cannot be made").with_source(cause))?
            .tenant(endpoint.0.tenant.clone());
        let delivery = self.0.shared.store.dispatch_to(id, message).await?;
        let delivery = delivery.ok_or_else(|| SendError::new(SendErrorKind::Disabled, "the endpoint is disabled"))?;
        self.0.shared.wake();
        Ok(delivery)
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: EndpointId) -> Result<Option<Endpoint>, SendError> {
        Ok(self.0.shared.store.endpoint(id).await?.map(Endpoint))
    }

    /// Reads a tenant's endpoints, all of them: there are no more than [`Quotas::endpoints`](crate::send::Quotas::endpoints). `None`
    /// is those that name no tenant; [`all`](Self::all) reads those of every tenant.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the name holds a NUL; and as the store fails.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<Endpoint>, SendError> {
        let tenant = tenant.unwrap_or_default();
        check_text(tenant)?;
        let tenant = Arc::from(tenant);
        let records = self.0.shared.store.endpoints(Some(tenant), None, u32::MAX).await?;
        Ok(records.into_iter().map(Endpoint).collect())
    }

    /// Reads endpoints of all tenants, by id, a [page](crate::send::Quotas::page) at a time: those after `after`. It is for
    /// operators.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn all(&self, after: Option<EndpointId>) -> Result<Vec<Endpoint>, SendError> {
        let page = self.0.shared.quotas.page;
        Ok(self.0.shared.store.endpoints(None, after, page).await?.into_iter().map(Endpoint).collect())
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) as [`create`](Self::create); [`NotFound`](SendErrorKind::NotFound);
    /// [`Stale`](SendErrorKind::Stale) when it was to be of another revision; and as the store fails.
    pub async fn update(&self, id: EndpointId, update: EndpointUpdate) -> Result<Endpoint, SendError> {
        if let Some(url) = &update.url {
            self.0.shared.check_url(url)?;
        }
        if let Some(events) = &update.events {
            self.0.shared.check_events(events)?;
        }
        if let Some(version) = &update.api_version {
            self.0.shared.check_version(version.as_deref())?;
        }
        if let Some(description) = &update.description {
            check_description(description)?;
        }
        self.change(id, update.revision, |settings| {
            if let Some(url) = &update.url {
                url.as_str().clone_into(&mut settings.url);
            }
            if let Some(events) = &update.events {
                settings.events.clone_from(events);
            }
            if let Some(description) = &update.description {
                settings.description.clone_from(description);
            }
            if let Some(limit) = update.rate_limit {
                settings.rate_limit = limit;
            }
            if let Some(version) = &update.api_version {
                settings.api_version.clone_from(version);
            }
            if let Some(in_order) = update.in_order {
                settings.in_order = in_order;
            }
            if update.style.is_some() || update.headers.is_some() {
                let Shared { sealer, clock, .. } = &*self.0.shared;
                let mut profile = Profile::open(sealer, id, &settings.sealed)?;
                if let Some(style) = update.style {
                    profile.fit(settings.style, style, clock.now()).map_err(|error| error.with_field("style"))?;
                    settings.style = style;
                }
                if let Some(headers) = &update.headers {
                    profile.set_headers(headers);
                }
                settings.sealed = profile.seal(sealer, id)?;
            }
            Ok(())
        })
        .await
    }

    /// Enables an endpoint: what was held for it is due at once.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn enable(&self, id: EndpointId) -> Result<(), SendError> {
        self.switch(id, None).await?;
        self.0.shared.wake();
        Ok(())
    }

    /// Disables an endpoint: what waits for it is held, and new messages make no deliveries for it.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn disable(&self, id: EndpointId) -> Result<(), SendError> {
        self.switch(id, Some(DisabledReason::Asked)).await
    }

    async fn switch(&self, id: EndpointId, disabled: Option<DisabledReason>) -> Result<(), SendError> {
        let there = self.0.shared.store.switch_endpoint(id, disabled).await?;
        if !there {
            return Err(SendError::not_found("endpoint"));
        }
        if let Some(reason) = disabled {
            observe::endpoint_disabled_as_asked(reason.as_str());
        }
        Ok(())
    }

    /// Removes an endpoint. What waits for it is cancelled.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn delete(&self, id: EndpointId) -> Result<(), SendError> {
        let there = self.0.shared.store.delete_endpoint(id).await?;
        if there { Ok(()) } else { Err(SendError::not_found("endpoint")) }
    }

    /// Sends what an endpoint missed of the messages that were dispatched in a span of time: what was refused or exhausted, and what
    /// was never meant for it since it was disabled or not registered. What was cancelled stays cancelled;
    /// [`resend`](Dispatcher::resend) can still send it. Returns how many deliveries it made due. Times are the store's, in milliseconds;
    /// `since..` goes on to the present.
    ///
    /// It works in steps, and what they have made due is delivered meanwhile, at no more than twice the rate at which the
    /// endpoint had its deliveries before.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Invalid`](SendErrorKind::Invalid) when the span ends before it begins; and
    /// as the store fails.
    ///
    /// # Examples
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_webhooks::send::{Dispatcher, EndpointId, SendError};
    ///
    /// # async fn run(webhooks: Dispatcher, id: EndpointId, outage: SystemTime) -> Result<(), SendError> {
    /// let (since, until) = (outage, outage + Duration::from_secs(3600));
    /// webhooks.endpoints().recover(id, since..until).await?;
    /// webhooks.endpoints().recover(id, since..).await?;
    ///
    /// assert!(webhooks.endpoints().recover(id, until..since).await.is_err());
    /// # Ok(()) }
    /// ```
    pub async fn recover(&self, id: EndpointId, span: impl RangeBounds<SystemTime>) -> Result<u64, SendError> {
        let later = |at: SystemTime| at.checked_add(Duration::from_millis(1)).unwrap_or(at);
        let mut recover = Recover::new(match span.start_bound() {
            Bound::Included(since) => *since,
            Bound::Excluded(since) => later(*since),
            Bound::Unbounded => UNIX_EPOCH,
        });
        recover.until = match span.end_bound() {
            Bound::Included(until) => Some(later(*until)),
            Bound::Excluded(until) => Some(*until),
            Bound::Unbounded => None,
        };
        if recover.until.is_some_and(|until| until < recover.since) {
            return Err(SendError::invalid("the span of time ends before it begins"));
        }
        self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
        let mut count = 0;
        loop {
            let recovered = self.0.shared.store.recover(id, recover, RECOVERED_AT_ONCE).await?;
            count += recovered.deliveries;
            self.0.shared.wake();
            if recovered.next.is_none() {
                return Ok(count);
            }
            recover.after = recovered.next;
        }
    }

    async fn change(
        &self,
        id: EndpointId,
        revision: Option<u64>,
        change: impl Fn(&mut EndpointSettings) -> Result<(), SendError>,
    ) -> Result<Endpoint, SendError> {
        let store = &self.0.shared.store;
        for _ in 0..TRIES {
            let mut record = store.endpoint(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
            if revision.is_some_and(|revision| revision != record.revision) {
                break;
            }
            let url = record.settings.url.clone();
            change(&mut record.settings)?;
            if store.change_endpoint(id, record.revision, record.settings.clone()).await? == Fenced::Applied {
                record.revision += 1;
                if record.settings.url != url {
                    (record.failures, record.failing_since, record.proven) = (0, None, false);
                }
                // It may have ended a rest.
                self.0.wake();
                return Ok(Endpoint(record));
            }
        }
        Err(SendError::new(SendErrorKind::Stale, "the endpoint was changed by somebody else meanwhile"))
    }
}

impl fmt::Debug for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").finish_non_exhaustive()
    }
}

/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 5;

/// How many messages are looked at in one transaction.
const RECOVERED_AT_ONCE: u32 = 500;

/// In so many seconds an endpoint is pinged once.
const BETWEEN_PINGS: u64 = 10;
