use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{ids::EndpointId, rate_limit::RateLimit};
use crate::{net::destination::Origin, send::message::style::Style};

/// Bytes that only the application's key opens, and the name of that key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// The name of the key; empty where the application chose not to seal.
    pub key: String,
    /// What was sealed.
    pub bytes: Bytes,
}

impl Sealed {
    /// Puts sealed bytes together.
    pub fn new(key: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { key: key.into(), bytes: bytes.into() }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where the application chose not to seal, the bytes are the secret.
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What an endpoint's owner can change.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSettings {
    /// Where it is. The text was checked when it came in, and is again at every attempt.
    pub url: String,
    /// Which event types it wants, as patterns.
    pub events: Vec<String>,
    /// What its owner wrote about it.
    pub description: String,
    /// How it is signed to.
    pub style: Style,
    /// Its secrets and its own headers.
    pub sealed: Sealed,
    /// How many attempts it takes in a time, if there is a limit.
    pub rate_limit: Option<RateLimit>,
    /// Which version of the API its payloads are converted to, if they are.
    pub api_version: Option<String>,
    /// Whether its deliveries are attempted one at a time and in their order.
    pub in_order: bool,
}

impl EndpointSettings {
    /// Puts settings together.
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
        }
    }
}

impl fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, events, description, style, sealed, rate_limit, api_version, in_order } = self;
        f.debug_struct("EndpointSettings")
            .field("url", &Origin(url))
            .field("events", events)
            .field("description", description)
            .field("style", style)
            .field("sealed", sealed)
            .field("rate_limit", rate_limit)
            .field("api_version", api_version)
            .field("in_order", in_order)
            .finish()
    }
}

/// An endpoint that is to be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointDraft {
    /// Its id: drawn before, since its secrets are sealed for it.
    pub id: EndpointId,
    /// Whose it is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// The rest.
    pub settings: EndpointSettings,
}

impl EndpointDraft {
    /// Puts a draft together.
    pub fn new(id: EndpointId, tenant: impl Into<Arc<str>>, settings: EndpointSettings) -> Self {
        Self { id, tenant: tenant.into(), settings }
    }
}

/// An endpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointRecord {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is; empty in an application without tenants.
    pub tenant: Arc<str>,
    /// What its owner can change.
    pub settings: EndpointSettings,
    /// Counts the changes of the settings, from 1.
    pub revision: u64,
    /// Why it is disabled, if it is.
    pub disabled: Option<DisabledReason>,
    /// When it was added.
    pub created_at: SystemTime,
    /// How many attempts in a row have failed since the last success; those that were in flight together count as one.
    pub failures: u32,
    /// Since when it has failed without a success.
    pub failing_since: Option<SystemTime>,
    /// Whether its last attempt ended within [`PROVEN_WITHIN`](crate::send::PROVEN_WITHIN), and all within [`SLOW_FOR`](crate::send::SLOW_FOR) before it. A new one is not proven.
    pub proven: bool,
}

impl EndpointRecord {
    /// Makes the record of an endpoint that has just been added.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisabledReason {
    /// The application, or the endpoint's owner, wanted it so.
    Asked,
    /// It has failed for days without a success.
    Failing,
    /// It answered 410.
    Gone,
}

impl DisabledReason {
    /// The reason's name in stores and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// The reason of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Asked, Self::Failing, Self::Gone].into_iter().find(|reason| reason.as_str() == name)
    }
}
