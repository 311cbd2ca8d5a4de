use std::{sync::Arc, time::SystemTime};

use super::secret::Secret;

/// The secrets that a delivery may be signed with: the current one, and older ones during a rotation. Cheap to clone.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::{Secret, Secrets};
///
/// let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let secrets = Secrets::new(Secret::new("the current one")?)
///     .and_until(Secret::new("the previous one")?, until)
///     .tenant("acme");
///
/// assert_eq!(secrets.len(), 2);
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Shared, so that clones can be recognised as the same answer of a source.
    entries: Arc<Vec<Entry>>,
    tenant: Option<Arc<str>>,
    unknown: Option<Unknown>,
    /// Whether these are the public keys that a sender publishes, some of which may not fit.
    is_published: bool,
}

/// The thing that certainly does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Key,
    Tenant,
}

/// One secret and its limits.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) secret: Secret,
    pub(crate) until: Option<SystemTime>,
    pub(crate) is_test: bool,
}

impl Secrets {
    /// Creates a list of one secret.
    pub fn new(current: Secret) -> Self {
        Self::from(current)
    }

    /// Creates an empty list: the tenant exists, or may exist, and has no secret. Its requests are rejected with 503
    /// and an error event, so that senders retry: the secret may be missing by mistake. A list whose secrets have all
    /// expired is treated in the same way.
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates the answer of a source that is certain that the tenant does not exist.
    ///
    /// Its requests are rejected like forged ones: with the same status and body, after the body has been read and
    /// compared. They are logged at debug level with the reason `unknown_tenant`. If the tenant may exist, use
    /// [`none`](Self::none) or return an error.
    pub fn unknown_tenant() -> Self {
        Self { unknown: Some(Unknown::Tenant), ..Self::default() }
    }

    /// Creates the answer of a source that is certain that the sender does not have the key that the request names
    /// ([`RequestHead::key_id`](crate::RequestHead::key_id)).
    ///
    /// Its requests are rejected like forged ones, with the reason `unknown_key`. If the key could not be looked up, return an
    /// error instead: the request is then answered with 503, and the sender tries again.
    pub fn unknown_key() -> Self {
        Self { unknown: Some(Unknown::Key), ..Self::default() }
    }

    /// Adds another valid secret.
    #[must_use]
    pub fn and(self, secret: Secret) -> Self {
        self.with(Entry { secret, until: None, is_test: false })
    }

    /// Adds a secret that is valid until a moment, for the old one of a rotation. From then on it is ignored.
    #[must_use]
    pub fn and_until(self, secret: Secret, until: SystemTime) -> Self {
        self.with(Entry { secret, until: Some(until), is_test: false })
    }

    /// Adds a secret that is valid for test data only, such as the one that the Stripe CLI prints. Test secrets are in many
    /// hands, so a delivery that was signed with one is rejected unless it says that it is about test data:
    /// [`Delivery::mode`](crate::Delivery::mode) must be [`Mode::Test`](crate::delivery::Mode::Test).
    ///
    /// The scheme has to say where live and test data are told apart, as Stripe's and Square's do and a declared one can with
    /// [`live`](crate::scheme::SchemeBuilder::live). With any other scheme the layer cannot be built, and a request whose
    /// [`SecretSource`](crate::SecretSource) returns a test secret is rejected with 503.
    ///
    /// ```
    /// use tower_webhooks::{Secret, Secrets, WebhookLayer};
    ///
    /// let (live, cli) = (Secret::new("whsec_of_the_endpoint")?, Secret::new("whsec_of_the_command_line")?);
    /// let layer = WebhookLayer::stripe(Secrets::new(live).and_test(cli));
    /// # Ok::<(), tower_webhooks::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn and_test(self, secret: Secret) -> Self {
        self.with(Entry { secret, until: None, is_test: true })
    }

    fn with(mut self, entry: Entry) -> Self {
        Arc::make_mut(&mut self.entries).push(entry);
        self
    }

    /// Sets the tenant that the secrets belong to. The name reaches the handler with [`Delivery::tenant`](crate::Delivery::tenant),
    /// and keeps two tenants' deliveries apart in a store.
    #[must_use]
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// Returns the number of secrets.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns `true` if there is no secret.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether these are the same answer of a source, and not only equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
    }

    /// Whether these are the same secrets, in the same order. It is for public keys: the time depends on their bytes.
    #[cfg(feature = "remote-keys")]
    pub(crate) fn holds_same(&self, other: &Self) -> bool {
        let text =
            |secrets: &Self| secrets.entries.iter().map(|entry| entry.secret.expose().to_vec()).collect::<Vec<_>>();
        text(self) == text(other)
    }

    /// Marks public keys that a sender publishes: those that the scheme cannot use are left out, and the first ones are used where
    /// there are more than it takes.
    #[cfg(feature = "remote-keys")]
    pub(crate) fn published(mut self) -> Self {
        self.is_published = true;
        self
    }

    pub(crate) fn is_published(&self) -> bool {
        self.is_published
    }

    /// Whether one of them is valid at `now`.
    pub(crate) fn any_valid(&self, now: SystemTime) -> bool {
        self.entries.iter().any(|entry| entry.until.is_none_or(|until| now < until))
    }

    /// Returns what certainly does not exist, if there are no secrets for this reason.
    pub(crate) fn unknown(&self) -> Option<Unknown> {
        self.unknown.filter(|_| self.entries.is_empty())
    }

    pub(crate) fn tenant_name(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self::from_iter([secret])
    }
}

impl<const N: usize> From<[Secret; N]> for Secrets {
    fn from(secrets: [Secret; N]) -> Self {
        Self::from_iter(secrets)
    }
}

impl From<Vec<Secret>> for Secrets {
    fn from(secrets: Vec<Secret>) -> Self {
        Self::from_iter(secrets)
    }
}

impl FromIterator<Secret> for Secrets {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        let entries = secrets.into_iter().map(|secret| Entry { secret, until: None, is_test: false }).collect();
        Self { entries: Arc::new(entries), ..Self::default() }
    }
}
