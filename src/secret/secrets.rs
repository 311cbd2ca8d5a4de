use std::{sync::Arc, time::SystemTime};

use super::Secret;

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
    entries: Vec<Entry>,
    tenant: Option<Arc<str>>,
}

/// One secret and when it ends.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) secret: Secret,
    pub(crate) until: Option<SystemTime>,
}

impl Secrets {
    /// Creates a list of one secret.
    pub fn new(current: Secret) -> Self {
        Self::from(current)
    }

    /// Creates an empty list: what a source answers for a tenant that it does not know. Requests are then refused with
    /// 503, since a secret that is missing by mistake must not turn deliveries away for good.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a secret that is right as well.
    #[must_use]
    pub fn and(mut self, secret: Secret) -> Self {
        self.entries.push(Entry { secret, until: None });
        self
    }

    /// Adds a secret that is right until a moment, for the old one of a rotation. From then on it is as if it were not
    /// there.
    #[must_use]
    pub fn and_until(mut self, secret: Secret, until: SystemTime) -> Self {
        self.entries.push(Entry { secret, until: Some(until) });
        self
    }

    /// Names whose secrets these are. The name reaches the handler with [`Delivery::tenant`](crate::Delivery::tenant),
    /// and keeps two tenants' deliveries apart in a store.
    #[must_use]
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// Tells how many secrets there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether there is no secret.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
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
        Self { entries: secrets.into_iter().map(|secret| Entry { secret, until: None }).collect(), tenant: None }
    }
}
