//! The endpoints of a dispatcher. `check` holds what makes an endpoint invalid, and `secrets` the change of secrets.

mod check;
pub(crate) mod secrets;

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{json, value::RawValue};
use sha2::{Digest, Sha256};

use crate::{
    net::destination::EndpointUrl,
    observe,
    queue::Fenced,
    send::{
        error::{SendError, SendErrorKind},
        message::{
            labels::check_labels,
            message::{Message, check_tenant, check_text},
            own::ENDPOINT_PING,
        },
        outbox::{
            dispatcher::Dispatcher,
            endpoint::{Endpoint, EndpointUpdate, NewEndpoint, NewSecret},
            endpoints::check::{check_authorization, check_description, check_identity, check_metadata},
            quotas::too_many,
            shared::Shared,
            store::{
                delivery::Recover,
                endpoint::{DisabledReason, EndpointDraft, EndpointSettings},
                ids::{EndpointId, SentDeliveryId},
            },
        },
        signing::profile::{Profile, chosen_or_random, shown_secret},
    },
};

/// The endpoints of a [`Dispatcher`], which [`Dispatcher::endpoints`] returns.
///
/// It finds endpoints of every tenant by their ids. So if a tenant named the id, compare its [`tenant`](Endpoint::tenant) before
/// you show or change the endpoint, or use [`Dispatcher::tenant`].
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
/// assert!(created.reveal().starts_with("whsec_")); // show it to its owner now: there is no other chance
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
    /// Returns the endpoints.
    pub fn endpoints(&self) -> Endpoints<'_> {
        Endpoints(self)
    }
}

impl Endpoints<'_> {
    /// The maximum length of a description in characters.
    pub const LONGEST_DESCRIPTION: usize = check::LONGEST_DESCRIPTION;

    /// Registers an endpoint. The result shows its secret; later there is no way to read it, and only a rotation
    /// creates a new one.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when deliveries may not go to its URL, or the tenant's name, a pattern, the secret,
    /// the description, the metadata, a label or the API version is invalid; [`TooMany`](SendErrorKind::TooMany) when the tenant has as many endpoints, or
    /// the endpoint more patterns, than [`Quotas`](crate::send::Quotas) allows; and when the store fails.
    pub async fn create(&self, endpoint: NewEndpoint) -> Result<NewSecret, SendError> {
        self.0.shared.check_url(&endpoint.url)?;
        check_tenant(&endpoint.tenant)?;
        self.0.shared.check_events(&endpoint.events)?;
        check_description(&endpoint.description)?;
        check_metadata(&endpoint.metadata)?;
        check_labels(&endpoint.labels)?;
        self.0.shared.check_version(endpoint.api_version.as_deref())?;
        let secret = chosen_or_random(endpoint.style, endpoint.secret)?;
        let shown = shown_secret(endpoint.style, &secret)?;

        let id = EndpointId::random().map_err(SendError::randomness)?;
        let mut profile = Profile::new(&secret)?;
        profile.set_headers(&endpoint.headers);
        profile.set_identity(endpoint.identity.as_ref())?;
        profile.set_credentials(endpoint.credentials.as_ref())?;
        self.0.shared.check_credentials(endpoint.credentials.as_ref())?;
        check_identity(&endpoint.url, &profile)?;
        check_authorization(&profile)?;
        let sealed = profile.seal(&self.0.shared.sealer, id)?;
        let mut settings = EndpointSettings::new(endpoint.url.as_str(), endpoint.events, endpoint.style, sealed);
        settings.description = endpoint.description;
        settings.rate_limit = endpoint.rate_limit;
        settings.api_version = endpoint.api_version;
        settings.in_order = endpoint.in_order;
        settings.metadata = endpoint.metadata;
        settings.labels = endpoint.labels;
        let draft = EndpointDraft::new(id, endpoint.tenant, settings);
        let most = self.0.shared.quotas.endpoints;
        let record = self.0.shared.store.create_endpoint(draft, most).await?;
        let created = Endpoint(record.ok_or_else(|| too_many("endpoints", most))?);

        let mut ping = None;
        if endpoint.ping {
            // A ping that fails must not lose the secret, which is shown only now.
            match self.ping_endpoint(&created).await {
                Ok(delivery) => ping = Some(delivery),
                Err(error) => observe::not_pinged(&id, &error),
            }
        }
        Ok(NewSecret { endpoint: created, secret: shown, ping })
    }

    /// Sends a message of the type `endpoint.ping` to an endpoint, whatever its patterns are, so that its owner sees whether it
    /// works. It is an ordinary delivery: it is in the log, and has retries and limits. Its payload is `{"endpoint": "ep_…"}`.
    ///
    /// An endpoint is pinged at most once in ten seconds. Further calls return the same delivery.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Disabled`](SendErrorKind::Disabled) when the endpoint is; and when the store
    /// fails.
    pub async fn ping(&self, id: EndpointId) -> Result<SentDeliveryId, SendError> {
        let endpoint = self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
        self.ping_endpoint(&endpoint).await
    }

    async fn ping_endpoint(&self, endpoint: &Endpoint) -> Result<SentDeliveryId, SendError> {
        let id = endpoint.id();
        let message_id = format!("{id}:ping:{}", self.slot());
        let message = Message::new(ENDPOINT_PING, &json!({ "endpoint": id.to_string() }))
            .and_then(|message| Ok(message.id(message_id.parse()?)))
            .map_err(|cause| SendError::new(SendErrorKind::Randomness, "a ping cannot be made").with_source(cause))?
            .tenant(endpoint.0.tenant.clone());
        self.dispatch_to(id, message).await
    }

    /// Sends the [example](crate::send::EventTypeDefinition::example) of an event type of the catalogue to an endpoint,
    /// whatever its patterns are, so that its owner can develop against it. It is an ordinary delivery of that type.
    /// The id of its message contains `:example:`, so that a receiver can distinguish it from a real event.
    ///
    /// An example is sent to an endpoint at most once in ten seconds. Further calls return the same delivery.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the catalogue has no such event type, or no example of it;
    /// [`NotFound`](SendErrorKind::NotFound) when the endpoint does not exist; [`Disabled`](SendErrorKind::Disabled) when it is disabled; and
    /// when the store fails.
    pub async fn send_example(&self, id: EndpointId, event_type: &str) -> Result<SentDeliveryId, SendError> {
        let endpoint = self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
        let invalid = |text: &'static str| SendError::invalid(text).with_field("type");
        let catalogue = self.0.shared.store.event_types().await?;
        let entry = catalogue.into_iter().find(|entry| entry.name() == event_type);
        let entry = entry.ok_or_else(|| invalid("the catalogue has no event type of this name"))?;
        let example = entry.example_json().ok_or_else(|| invalid("the catalogue has no example of this event type"))?;

        // Another example under the same id would be another message.
        let digest = Sha256::new().chain_update(event_type).chain_update([0]).chain_update(example);
        let digest = digest.chain_update([0]).chain_update(entry.api_version().unwrap_or_default()).finalize();
        let digest = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        let message_id = format!("{id}:example:{}:{digest}", self.slot());
        let example: &RawValue =
            serde_json::from_str(example).map_err(|cause| invalid("the example is not JSON").with_source(cause))?;
        let mut message = Message::new(event_type, example)
            .and_then(|message| Ok(message.id(message_id.parse()?)))
            .map_err(|cause| invalid("the example cannot be sent").with_source(cause))?
            .tenant(endpoint.0.tenant.clone());
        if let Some(version) = entry.api_version() {
            message = message.version(version);
        }
        // Nothing that the owner has sent is wrong with the version of the catalogue.
        self.0.check(&message).map_err(|error| error.with_field("type"))?;
        self.dispatch_to(id, message).await
    }

    /// The message for one endpoint, now.
    async fn dispatch_to(&self, id: EndpointId, message: Message) -> Result<SentDeliveryId, SendError> {
        let delivery = self.0.shared.store.dispatch_to(id, message).await?;
        let delivery = delivery.ok_or_else(|| SendError::new(SendErrorKind::Disabled, "the endpoint is disabled"))?;
        self.0.shared.wake();
        Ok(delivery)
    }

    /// The span of time in which the same test message is sent once.
    fn slot(&self) -> u64 {
        let now = self.0.shared.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now - now % BETWEEN_PINGS
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: EndpointId) -> Result<Option<Endpoint>, SendError> {
        Ok(self.0.shared.store.endpoint(id).await?.map(Endpoint))
    }

    /// Reads all endpoints of a tenant, which are at most [`Quotas::endpoints`](crate::send::Quotas::endpoints). `None` means those
    /// without a tenant; [`all`](Self::all) reads those of every tenant.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when the name contains a NUL; and when the store fails.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<Endpoint>, SendError> {
        let tenant = tenant.unwrap_or_default();
        check_text(tenant)?;
        let tenant = Arc::from(tenant);
        let records = self.0.shared.store.endpoints(Some(tenant), None, u32::MAX).await?;
        Ok(records.into_iter().map(Endpoint).collect())
    }

    /// Reads up to `limit` endpoints of all tenants in the order of their ids, those after `after`, for operators. It reads at most one
    /// more than a [page](crate::send::Quotas::page), so that a caller sees whether there is another page.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn all(&self, after: Option<EndpointId>, limit: u32) -> Result<Vec<Endpoint>, SendError> {
        let limit = limit.min(self.0.shared.quotas.page.saturating_add(1));
        Ok(self.0.shared.store.endpoints(None, after, limit).await?.into_iter().map(Endpoint).collect())
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) as [`create`](Self::create); [`NotFound`](SendErrorKind::NotFound);
    /// [`Stale`](SendErrorKind::Stale) when its revision is not the expected one; and when the store fails.
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
        if let Some(credentials) = &update.credentials {
            self.0.shared.check_credentials(credentials.as_ref())?;
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
            if let Some(metadata) = &update.metadata {
                settings.metadata.clone_from(metadata);
            }
            if update.metadata.is_some() || !update.entries.is_empty() {
                merge(&mut settings.metadata, &update.entries);
                check_metadata(&settings.metadata)?;
            }
            if let Some(labels) = &update.labels {
                settings.labels.clone_from(labels);
            }
            if update.labels.is_some() || !update.label_entries.is_empty() {
                merge(&mut settings.labels, &update.label_entries);
                check_labels(&settings.labels)?;
            }
            let is_plain = update.url.as_ref().is_some_and(|url| !url.is_https());
            if update.style.is_some()
                || update.headers.is_some()
                || update.identity.is_some()
                || update.credentials.is_some()
                || is_plain
            {
                let Shared { sealer, clock, .. } = &*self.0.shared;
                let mut profile = Profile::open(sealer, id, &settings.sealed)?;
                if let Some(style) = update.style {
                    profile.fit(settings.style, style, clock.now()).map_err(|error| error.with_field("style"))?;
                    settings.style = style;
                }
                if let Some(headers) = &update.headers {
                    profile.set_headers(headers);
                }
                if let Some(identity) = &update.identity {
                    profile.set_identity(identity.as_ref())?;
                }
                if let Some(credentials) = &update.credentials {
                    profile.set_credentials(credentials.as_ref())?;
                }
                check_authorization(&profile)?;
                if let Ok(url) = EndpointUrl::parse(&settings.url) {
                    check_identity(&url, &profile)?;
                }
                settings.sealed = profile.seal(sealer, id)?;
            }
            Ok(())
        })
        .await
    }

    /// Enables an endpoint. Its held deliveries are due at once.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and when the store fails.
    pub async fn enable(&self, id: EndpointId) -> Result<(), SendError> {
        self.switch(id, None).await?;
        self.0.shared.wake();
        Ok(())
    }

    /// Disables an endpoint. Its waiting deliveries are held, and no deliveries are created for new messages.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and when the store fails.
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

    /// Removes an endpoint, and cancels its waiting deliveries.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and when the store fails.
    pub async fn delete(&self, id: EndpointId) -> Result<(), SendError> {
        let there = self.0.shared.store.delete_endpoint(id).await?;
        if there { Ok(()) } else { Err(SendError::not_found("endpoint")) }
    }

    /// Sends what an endpoint missed of the messages that were dispatched in a span of time: deliveries that were
    /// refused or exhausted, and those that were not created because the endpoint was disabled or not registered.
    /// Cancelled deliveries stay cancelled; [`resend`](Dispatcher::resend) can still send them. Returns the number of
    /// deliveries that it made due. Times are those of the store, in milliseconds. `since..` includes the present.
    ///
    /// It works in steps, and workers deliver the results of earlier steps meanwhile, at no more than twice the
    /// endpoint's usual rate.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Invalid`](SendErrorKind::Invalid) when the span ends before it begins; and
    /// when the store fails.
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
                // The change may have ended a rest.
                self.0.wake();
                return Ok(Endpoint(record));
            }
        }
        Err(SendError::new(SendErrorKind::Stale, "somebody else changed the endpoint at the same time"))
    }
}

impl fmt::Debug for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").finish_non_exhaustive()
    }
}

/// Sets the entries that have a value, and removes the others.
fn merge(texts: &mut BTreeMap<String, String>, entries: &BTreeMap<String, Option<String>>) {
    for (name, value) in entries {
        match value {
            Some(value) => texts.insert(name.clone(), value.clone()),
            None => texts.remove(name),
        };
    }
}

/// How often a change is tried when others change the endpoint at the same time.
const TRIES: u32 = 5;

/// The number of messages that are looked at in one transaction.
const RECOVERED_AT_ONCE: u32 = 500;

/// The number of seconds in which an endpoint is sent the same test message at most once.
const BETWEEN_PINGS: u64 = 10;
