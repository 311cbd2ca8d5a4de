use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use crate::{
    net::{
        destination::{EndpointUrl, EndpointUrlError, Origin},
        identity::ClientIdentity,
    },
    secret::Secret,
    send::{
        message::style::Style,
        outbox::store::{
            endpoint::{DisabledReason, EndpointRecord},
            ids::{EndpointId, SentDeliveryId},
            rate_limit::RateLimit,
        },
        signing::{credentials::ClientCredentials, custom_headers::CustomHeaders},
    },
};

/// An endpoint that is to be registered.
///
/// ```
/// use tower_webhooks::send::NewEndpoint;
///
/// let endpoint = NewEndpoint::new("https://example.com/hook")?.tenant("acme").events(["order.*", "refund.created"]);
///
/// assert!(NewEndpoint::new("example.com/hook").is_err());
/// # Ok::<(), tower_webhooks::send::EndpointUrlError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct NewEndpoint {
    pub(crate) url: EndpointUrl,
    pub(crate) tenant: Arc<str>,
    pub(crate) events: Vec<String>,
    pub(crate) description: String,
    pub(crate) style: Style,
    pub(crate) secret: Option<Secret>,
    pub(crate) headers: CustomHeaders,
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) credentials: Option<ClientCredentials>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) api_version: Option<String>,
    pub(crate) in_order: bool,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ping: bool,
}

impl NewEndpoint {
    /// Creates an endpoint with a URL. By default it gets every event, signed as Standard Webhooks, with a new random secret.
    ///
    /// The dispatcher checks whether deliveries may go to the URL when the endpoint is registered.
    ///
    /// # Errors
    /// When the text is not a URL that an endpoint can have.
    pub fn new(url: &str) -> Result<Self, EndpointUrlError> {
        Ok(Self {
            url: EndpointUrl::parse(url)?,
            tenant: "".into(),
            events: vec!["*".to_owned()],
            description: String::new(),
            style: Style::StandardWebhooks,
            secret: None,
            headers: CustomHeaders::default(),
            identity: None,
            credentials: None,
            rate_limit: None,
            api_version: None,
            in_order: false,
            metadata: BTreeMap::new(),
            labels: BTreeMap::new(),
            ping: false,
        })
    }

    /// Sets the tenant. The endpoint gets the messages of the same tenant, and no others. A name has at most 256 characters, and
    /// no control characters.
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = name.into();
        self
    }

    /// Sets the event types that the endpoint wants: names, `prefix.*`, `prefix/*`, `prefix:*`, or `*` for all.
    pub fn events(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.events = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the description.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Sets the metadata: named texts that the application or the owner stores with the endpoint, such as a plan or a
    /// region. They have no effect on deliveries. There are at most 20; a name has 1 to 40 characters, none of them a
    /// control character, and a value at most 500.
    pub fn metadata<K: Into<String>, V: Into<String>>(mut self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        self.metadata = entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Adds a label that messages must have. An endpoint with labels gets only messages of its event types that have
    /// all of these labels with the same values. So it does not get `endpoint.disabled`, which has no labels; pings and
    /// examples are sent anyway. By default an endpoint gets messages with any labels. The limits are those of
    /// [`Message::label`](crate::send::Message::label).
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets the style in which its deliveries are signed.
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Sets a secret that the owner already has: 24 to 64 bytes. In the style of Standard Webhooks it is base64, with or without
    /// `whsec_`; in X-Webhook it is text. It cannot be set in [`Style::StandardWebhooksV1a`]: the private key is random, and
    /// nobody is ever shown it.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sets the endpoint's own headers.
    pub fn headers(mut self, headers: CustomHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the client certificate for this endpoint's receiver, if it asks for one (mutual TLS), in place of that of
    /// the client. It is sealed with the endpoint's secrets, and never shown again. The URL has to be `https`.
    pub fn client_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the credentials with which an access token is obtained; deliveries have the token in `Authorization` (OAuth
    /// 2.0). The credentials are sealed with the endpoint's secrets, and never shown again. The endpoint must not have
    /// its own `Authorization` header.
    pub fn client_credentials(mut self, credentials: ClientCredentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the maximum number of attempts in a second or a minute, over all workers. By default there is only the limit of 4
    /// at once. What exceeds the rate waits.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Sets the version of the application's API that payloads are converted to, which is one of the dispatcher's
    /// [`ApiVersions`](crate::send::ApiVersions). By default the endpoint gets every message unchanged.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Delivers one message at a time, in the order of dispatch. A delivery that fails delays those after it until it is delivered
    /// or given up, so choose retries that end soon. Other endpoints are not delayed. By default the order is not guaranteed.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Sends a [ping](crate::send::Endpoints::ping) when the endpoint is registered, so that its owner sees whether it works.
    pub fn ping(mut self) -> Self {
        self.ping = true;
        self
    }
}

/// A change of an endpoint. Settings that are not named stay unchanged.
///
/// ```
/// use tower_webhooks::send::{EndpointUpdate, RateLimit};
///
/// let update = EndpointUpdate::new().events(["order.*"]).rate_limit(RateLimit::per_minute(30)?).no_api_version();
/// assert!(EndpointUpdate::new().url("example.com/hook").is_err());
/// # let _ = update;
/// # Ok::<(), tower_webhooks::send::RateLimitError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct EndpointUpdate {
    pub(crate) url: Option<EndpointUrl>,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) headers: Option<CustomHeaders>,
    /// The inner value is the new one.
    pub(crate) identity: Option<Option<ClientIdentity>>,
    /// The inner value is the new one.
    pub(crate) credentials: Option<Option<ClientCredentials>>,
    pub(crate) style: Option<Style>,
    /// The inner value is the new one.
    pub(crate) rate_limit: Option<Option<RateLimit>>,
    /// The inner value is the new one.
    pub(crate) api_version: Option<Option<String>>,
    pub(crate) in_order: Option<bool>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// Set or removed after the others were replaced.
    pub(crate) entries: BTreeMap<String, Option<String>>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    /// Set or removed after the others were replaced.
    pub(crate) label_entries: BTreeMap<String, Option<String>>,
    pub(crate) revision: Option<u64>,
}

impl EndpointUpdate {
    /// Creates an update that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the URL.
    ///
    /// # Errors
    /// When the text is not a URL that an endpoint can have.
    pub fn url(mut self, url: &str) -> Result<Self, EndpointUrlError> {
        self.url = Some(EndpointUrl::parse(url)?);
        Ok(self)
    }

    /// Changes the event types that the endpoint wants.
    pub fn events(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.events = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Changes the description.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Replaces the [metadata](NewEndpoint::metadata).
    pub fn metadata<K: Into<String>, V: Into<String>>(mut self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        self.metadata = Some(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self.entries.clear();
        self
    }

    /// Sets one entry of the [metadata](NewEndpoint::metadata), or removes it with `None`. The other entries stay unchanged.
    pub fn metadata_entry(mut self, name: impl Into<String>, value: Option<String>) -> Self {
        self.entries.insert(name.into(), value);
        self
    }

    /// Replaces the [labels](NewEndpoint::label) that messages must have.
    pub fn labels<K: Into<String>, V: Into<String>>(mut self, labels: impl IntoIterator<Item = (K, V)>) -> Self {
        self.labels = Some(labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self.label_entries.clear();
        self
    }

    /// Sets one of the [labels](NewEndpoint::label) that messages must have, or removes it with `None`. The others stay unchanged.
    pub fn label_entry(mut self, name: impl Into<String>, value: Option<String>) -> Self {
        self.label_entries.insert(name.into(), value);
        self
    }

    /// Replaces the endpoint's own headers.
    pub fn headers(mut self, headers: CustomHeaders) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Changes the [client certificate](NewEndpoint::client_identity) for the endpoint's receiver.
    pub fn client_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(Some(identity));
        self
    }

    /// Removes the endpoint's client certificate: the receiver gets that of the client, if there is one.
    pub fn no_client_identity(mut self) -> Self {
        self.identity = Some(None);
        self
    }

    /// Changes the [credentials](NewEndpoint::client_credentials) with which an access token is obtained.
    pub fn client_credentials(mut self, credentials: ClientCredentials) -> Self {
        self.credentials = Some(Some(credentials));
        self
    }

    /// Removes the credentials: deliveries have no access token.
    pub fn no_client_credentials(mut self) -> Self {
        self.credentials = Some(None);
        self
    }

    /// Changes the style in which deliveries are signed. The endpoint keeps its secrets, and each must have the form of the new
    /// style. In that of Standard Webhooks a secret is base64, and in X-Webhook the text itself is the key, so the owner has to
    /// change at the same time. Deliveries that wait for a retry are sent in the new style. A change to or from
    /// [`Style::StandardWebhooksV1a`] is not possible, since its keys are of another kind.
    pub fn style(mut self, style: Style) -> Self {
        self.style = Some(style);
        self
    }

    /// Changes the rate limit.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(Some(limit));
        self
    }

    /// Removes the rate limit.
    pub fn no_rate_limit(mut self) -> Self {
        self.rate_limit = Some(None);
        self
    }

    /// Changes the version of the application's API that payloads are converted to, also for what waits for a retry.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(Some(version.into()));
        self
    }

    /// Removes the version: the endpoint gets every message unchanged.
    pub fn no_api_version(mut self) -> Self {
        self.api_version = Some(None);
        self
    }

    /// Changes whether messages are delivered [one at a time and in order](NewEndpoint::in_order).
    pub fn in_order(mut self, in_order: bool) -> Self {
        self.in_order = Some(in_order);
        self
    }

    /// Applies the update only if the endpoint has not changed since this [`revision`](Endpoint::revision).
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// A registered endpoint, without its secret.
///
/// ```
/// use tower_webhooks::send::{Dispatcher, SendError};
///
/// async fn print(webhooks: &Dispatcher) -> Result<(), SendError> {
///     for endpoint in webhooks.endpoints().list(Some("acme")).await? {
///         println!("{} {} {:?}", endpoint.id(), endpoint.url(), endpoint.disabled());
///     }
///     Ok(())
/// }
/// # let _ = print;
/// ```
#[derive(Clone)]
pub struct Endpoint(pub(crate) EndpointRecord);

impl Endpoint {
    /// Returns the id.
    pub fn id(&self) -> EndpointId {
        self.0.id
    }

    /// Returns the tenant, if there is one.
    pub fn tenant(&self) -> Option<&str> {
        Some(&*self.0.tenant).filter(|tenant| !tenant.is_empty())
    }

    /// Returns the URL.
    pub fn url(&self) -> &str {
        &self.0.settings.url
    }

    /// Returns the patterns of the event types that it wants.
    pub fn events(&self) -> &[String] {
        &self.0.settings.events
    }

    /// Returns the description.
    pub fn description(&self) -> &str {
        &self.0.settings.description
    }

    /// Returns the metadata, by name.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.settings.metadata
    }

    /// Returns the labels that messages must have, by name. If there are none, it gets messages with any labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0.settings.labels
    }

    /// Returns the style in which its deliveries are signed.
    pub fn style(&self) -> Style {
        self.0.settings.style
    }

    /// Returns the rate limit, if there is one.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.settings.rate_limit
    }

    /// Returns the version of the application's API that payloads are converted to, if they are.
    pub fn api_version(&self) -> Option<&str> {
        self.0.settings.api_version.as_deref()
    }

    /// Returns `true` if messages are delivered one at a time and in order.
    pub fn is_in_order(&self) -> bool {
        self.0.settings.in_order
    }

    /// Returns the number of the current revision, from 1. Each change adds 1.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// Returns `true` if the endpoint gets deliveries.
    pub fn is_enabled(&self) -> bool {
        self.0.disabled.is_none()
    }

    /// Returns why the endpoint is disabled, if it is.
    pub fn disabled(&self) -> Option<DisabledReason> {
        self.0.disabled
    }

    /// Returns when the endpoint was registered.
    pub fn created_at(&self) -> SystemTime {
        self.0.created_at
    }

    /// Returns since when it has failed without a success, if it has.
    pub fn failing_since(&self) -> Option<SystemTime> {
        self.0.failing_since
    }

    /// Returns how many attempts in a row have failed since the last success; those that were in flight together count as one. From
    /// [`FAILURES_TO_REST`](crate::send::FAILURES_TO_REST) on the endpoint rests between attempts.
    pub fn failures(&self) -> u32 {
        self.0.failures
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.0.id)
            .field("tenant", &self.0.tenant)
            .field("url", &Origin(&self.0.settings.url))
            .field("disabled", &self.0.disabled)
            .finish_non_exhaustive()
    }
}

/// An endpoint and its new secret, which is shown once.
///
/// ```
/// # #[cfg(feature = "idempotency")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webhooks::{send::{Dispatcher, NewEndpoint}, store::MemoryOutbox};
///
/// let webhooks = Dispatcher::builder(MemoryOutbox::new()).with_insecure_plain_secrets().build()?;
/// let created = webhooks.endpoints().create(NewEndpoint::new("https://example.com/hook")?).await?;
///
/// assert!(created.reveal().starts_with("whsec_")); // show it to the owner of the endpoint
/// assert!(!format!("{created:?}").contains(created.reveal()));
/// # Ok(()) }
/// # #[cfg(not(feature = "idempotency"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct NewSecret {
    pub(crate) endpoint: Endpoint,
    pub(crate) secret: Secret,
    pub(crate) ping: Option<SentDeliveryId>,
}

impl NewSecret {
    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the secret, once. Show it to the endpoint's owner: there is no other way to obtain it later.
    ///
    /// In [`Style::StandardWebhooksV1a`] it is the public key, `whpk_…`, which is not a secret. The private key is never shown.
    pub fn reveal(&self) -> &str {
        // It is text, or it could not have been sealed.
        std::str::from_utf8(self.secret.expose()).unwrap_or_default()
    }

    /// Returns the delivery of the ping, if [`NewEndpoint::ping`] asked for one. It is also `None` if the store accepted the
    /// endpoint and then failed for the ping, which is logged. The endpoint exists, and
    /// [`Endpoints::ping`](crate::send::Endpoints::ping) can be called again.
    pub fn ping(&self) -> Option<SentDeliveryId> {
        self.ping
    }

    /// Returns what [`reveal`](Self::reveal) shows as a [`Secret`], for a receiver in this program.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}
