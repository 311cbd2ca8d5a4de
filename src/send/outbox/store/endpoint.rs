use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{ids::EndpointId, rate_limit::RateLimit};
use crate::{net::destination::Origin, send::message::style::Style};

/// Sealed bytes, and the name of the application's key that opens them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// The name of the key, which is empty if the application chose not to seal.
    pub key: String,
    /// The sealed bytes.
    pub bytes: Bytes,
}

impl Sealed {
    /// Creates the value from its parts.
    pub fn new(key: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { key: key.into(), bytes: bytes.into() }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // If the application chose not to seal, the bytes are the secret.
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The settings of an endpoint, which its owner can change.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSettings {
    /// The URL. It was checked when the endpoint was registered, and is checked again at every attempt.
    pub url: String,
    /// The patterns of the event types that it wants.
    pub events: Vec<String>,
    /// The description.
    pub description: String,
    /// The style in which its deliveries are signed.
    pub style: Style,
    /// Its secrets and its own headers.
    pub sealed: Sealed,
    /// The rate limit, if there is one.
    pub rate_limit: Option<RateLimit>,
    /// The version of the application's API that payloads are converted to, if they are.
    pub api_version: Option<String>,
    /// Whether its deliveries are attempted one at a time and in order.
    pub in_order: bool,
    /// Texts that the application or the owner has stored with the endpoint, by name.
    pub metadata: BTreeMap<String, String>,
    /// The labels that a message must have, by name. If there are none, it gets messages with any labels.
    pub labels: BTreeMap<String, String>,
}

impl EndpointSettings {
    /// Creates settings. The others are set in their fields.
    pub fn new(url: impl Into<String>, events: Vec<String>, style: Style, sealed: Sealed) -> Self {
        Self {
            url: url.into(),
            events,
            description: String::new(),
            style,
            sealed,
            rate_limit: None,
            api_version: None,
            in_order: false,
            metadata: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, events, description, style, sealed, rate_limit, api_version, in_order, metadata, labels } =
            self;
        f.debug_struct("EndpointSettings")
            .field("url", &Origin(url))
            .field("events", events)
            .field("description", description)
            .field("style", style)
            .field("sealed", sealed)
            .field("rate_limit", rate_limit)
            .field("api_version", api_version)
            .field("in_order", in_order)
            .field("metadata", metadata)
            .field("labels", labels)
            .finish()
    }
}

/// An endpoint to be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointDraft {
    /// Its id. It is generated first, since the secrets are sealed for it.
    pub id: EndpointId,
    /// Its tenant, which is empty in an application without tenants.
    pub tenant: Arc<str>,
    /// Its settings.
    pub settings: EndpointSettings,
}

impl EndpointDraft {
    /// Creates a draft from its parts.
    pub fn new(id: EndpointId, tenant: impl Into<Arc<str>>, settings: EndpointSettings) -> Self {
        Self { id, tenant: tenant.into(), settings }
    }
}

/// A stored endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointRecord {
    /// Its id.
    pub id: EndpointId,
    /// Its tenant, which is empty in an application without tenants.
    pub tenant: Arc<str>,
    /// Its settings.
    pub settings: EndpointSettings,
    /// The number of the revision of the settings, from 1.
    pub revision: u64,
    /// Why it is disabled, if it is.
    pub disabled: Option<DisabledReason>,
    /// When it was added.
    pub created_at: SystemTime,
    /// The number of failures in a row since the last success. Attempts that were in flight together count as one.
    pub failures: u32,
    /// The time of the first of these failures.
    pub failing_since: Option<SystemTime>,
    /// Whether its last attempt, and every attempt in the [`SLOW_FOR`](crate::send::SLOW_FOR) before it, ended within
    /// [`PROVEN_WITHIN`](crate::send::PROVEN_WITHIN). A new endpoint is not proven.
    pub proven: bool,
}

impl EndpointRecord {
    /// Creates the record of an endpoint that has just been added.
    pub fn new(draft: EndpointDraft, created_at: SystemTime) -> Self {
        let EndpointDraft { id, tenant, settings } = draft;
        Self {
            id,
            tenant,
            settings,
            revision: 1,
            disabled: None,
            created_at,
            failures: 0,
            failing_since: None,
            proven: false,
        }
    }
}

/// Why an endpoint is disabled.
///
/// ```
/// use tower_webhooks::send::DisabledReason;
///
/// assert_eq!(DisabledReason::from_name("gone"), Some(DisabledReason::Gone));
/// assert_eq!(DisabledReason::Failing.as_str(), "failing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisabledReason {
    /// The application or the endpoint's owner disabled it.
    Asked,
    /// It has failed for days without a success.
    Failing,
    /// It answered 410.
    Gone,
}

impl DisabledReason {
    /// Returns the reason's name in stores and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// Returns the reason with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Asked, Self::Failing, Self::Gone].into_iter().find(|reason| reason.as_str() == name)
    }
}
