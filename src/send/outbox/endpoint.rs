use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    net::destination::{EndpointUrl, EndpointUrlError, Origin},
    secret::Secret,
    send::{
        outbox::store::{
            endpoint::{DisabledReason, EndpointRecord},
            ids::{EndpointId, OutboxId},
            rate_limit::RateLimit,
        },
        signing::{custom_headers::CustomHeaders, signer::Style},
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
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) api_version: Option<String>,
    pub(crate) in_order: bool,
    pub(crate) ping: bool,
}

impl NewEndpoint {
    /// Starts with where it is. It gets every event, signed as Standard Webhooks, with a secret that is drawn for it.
    ///
    /// Whether deliveries may go there is for the dispatcher to decide, when the endpoint is created.
    ///
    /// # Errors
    /// When the text is no URL that an endpoint can have.
    pub fn new(url: &str) -> Result<Self, EndpointUrlError> {
        Ok(Self {
            url: EndpointUrl::parse(url)?,
            tenant: "".into(),
            events: vec!["*".to_owned()],
            description: String::new(),
            style: Style::StandardWebhooks,
            secret: None,
            headers: CustomHeaders::default(),
            rate_limit: None,
            api_version: None,
            in_order: false,
            ping: false,
        })
    }

    /// Names whose it is: it gets the messages of the same tenant, and no others. A name is at most 256 characters long, without
    /// control characters.
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = name.into();
        self
    }

    /// Sets which event types it wants: names, `prefix.*`, or `*` for all.
    pub fn events(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.events = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what its owner wrote about it.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Sets how it is signed to.
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Takes a secret that its owner has already: 24 to 64 bytes, in base64 with or without `whsec_` in the style of
    /// Standard Webhooks, as text in X-Webhook. In [`Style::StandardWebhooksV1a`] there is no choice: a private key is drawn,
    /// and never leaves.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sets its own headers.
    pub fn headers(mut self, headers: CustomHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Sets how many attempts it takes in a second or a minute, over all workers; without a limit by default, beside that of
    /// 4 at once. What is due meanwhile waits.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Sets which version of the API its payloads are converted to: one of the dispatcher's
    /// [`ApiVersions`](crate::send::ApiVersions). By default it gets every message as it is.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Makes its deliveries one at a time, in the order in which they were dispatched. One that fails holds up those behind it until it
    /// is delivered or given up, so choose retries that end soon. Other endpoints are not held up. By default order is not promised.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Sends it a [ping](crate::send::Endpoints::ping) as soon as it is registered; its owner then sees whether it works.
    pub fn ping(mut self) -> Self {
        self.ping = true;
        self
    }
}

/// What is to be changed about an endpoint; what is not named stays as it is.
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
    pub(crate) style: Option<Style>,
    /// What is within is what it becomes.
    pub(crate) rate_limit: Option<Option<RateLimit>>,
    /// What is within is what it becomes.
    pub(crate) api_version: Option<Option<String>>,
    pub(crate) in_order: Option<bool>,
    pub(crate) revision: Option<u64>,
}

impl EndpointUpdate {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes where it is.
    ///
    /// # Errors
    /// When the text is no URL that an endpoint can have.
    pub fn url(mut self, url: &str) -> Result<Self, EndpointUrlError> {
        self.url = Some(EndpointUrl::parse(url)?);
        Ok(self)
    }

    /// Changes which event types it wants.
    pub fn events(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.events = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Changes what its owner wrote about it.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Replaces its own headers.
    pub fn headers(mut self, headers: CustomHeaders) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Changes how it is signed to, with the secrets that it has: each has to be of the new style's form. In that of Standard
    /// Webhooks a secret is base64, and in that of X-Webhook the text itself is the key, so its owner has to change with it.
    /// Deliveries that wait for a retry are sent in the new style. To and from [`Style::StandardWebhooksV1a`] there is no change:
    /// its keys are of another kind.
    pub fn style(mut self, style: Style) -> Self {
        self.style = Some(style);
        self
    }

    /// Changes how many attempts it takes in a time.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(Some(limit));
        self
    }

    /// Takes its rate limit away.
    pub fn no_rate_limit(mut self) -> Self {
        self.rate_limit = Some(None);
        self
    }

    /// Changes which version of the API its payloads are converted to, also those that wait for a retry.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(Some(version.into()));
        self
    }

    /// Gives it every message as it is.
    pub fn no_api_version(mut self) -> Self {
        self.api_version = Some(None);
        self
    }

    /// Changes whether its deliveries are made [one at a time and in their order](NewEndpoint::in_order).
    pub fn in_order(mut self, in_order: bool) -> Self {
        self.in_order = Some(in_order);
        self
    }

    /// Changes it only if nobody has changed it since this [`revision`](Endpoint::revision).
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// A registered endpoint. Its secret is not in it.
#[derive(Clone)]
pub struct Endpoint(pub(crate) EndpointRecord);

impl Endpoint {
    /// Its id.
    pub fn id(&self) -> EndpointId {
        self.0.id
    }

    /// Whose it is, where the application has tenants.
    pub fn tenant(&self) -> Option<&str> {
        Some(&*self.0.tenant).filter(|tenant| !tenant.is_empty())
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.0.settings.url
    }

    /// Which event types it wants.
    pub fn events(&self) -> &[String] {
        &self.0.settings.events
    }

    /// What its owner wrote about it.
    pub fn description(&self) -> &str {
        &self.0.settings.description
    }

    /// How it is signed to.
    pub fn style(&self) -> Style {
        self.0.settings.style
    }

    /// How many attempts it takes in a time, if there is a limit.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.0.settings.rate_limit
    }

    /// Which version of the API its payloads are converted to, if they are.
    pub fn api_version(&self) -> Option<&str> {
        self.0.settings.api_version.as_deref()
    }

    /// Returns `true` if its deliveries are made one at a time and in their order.
    pub fn is_in_order(&self) -> bool {
        self.0.settings.in_order
    }

    /// Counts its changes, from 1.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// Tells whether it gets deliveries.
    pub fn is_enabled(&self) -> bool {
        self.0.disabled.is_none()
    }

    /// Why it gets none, if it does not.
    pub fn disabled(&self) -> Option<DisabledReason> {
        self.0.disabled
    }

    /// When it was registered.
    pub fn created_at(&self) -> SystemTime {
        self.0.created_at
    }

    /// Since when it has failed without a success, if it does.
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

/// An endpoint and its new secret, which cannot be had a second time.
#[derive(Debug, Clone)]
pub struct NewSecret {
    pub(crate) endpoint: Endpoint,
    pub(crate) secret: Secret,
    pub(crate) ping: Option<OutboxId>,
}

impl NewSecret {
    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Shows the secret, once: it is for the endpoint's owner, and nobody can ask for it later.
    ///
    /// In [`Style::StandardWebhooksV1a`] it is the public key, `whpk_…`, which is no secret; the private one is shown to nobody.
    pub fn reveal(&self) -> &str {
        // It is text, or it could not have been sealed.
        std::str::from_utf8(self.secret.expose()).unwrap_or_default()
    }

    /// The delivery of the ping that was asked for by [`NewEndpoint::ping`]. There is none where the store took the endpoint
    /// and not the ping, which is logged: the endpoint is there, and [`Endpoints::ping`](crate::send::Endpoints::ping) can be tried
    /// again.
    pub fn ping(&self) -> Option<OutboxId> {
        self.ping
    }

    /// What [`reveal`](Self::reveal) shows, for a receiver in this program.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}
