use std::{fmt, time::Duration};

use super::entry::{Duplicates, Entry, Evidence};
use crate::scheme::scheme::Scheme;

/// A named, ready scheme.
///
/// A provider is one entry of the catalogue. It can be named in code, or by text from a configuration; case, `-` and `_` do
/// not matter. It is [`Serialize`](serde::Serialize) as its name, and [`Deserialize`](serde::Deserialize) from any of its names.
///
/// ```
/// use tower_webhooks::{Provider, Secret, WebhookLayer};
///
/// let provider: Provider = "Standard_Webhooks".parse()?;
/// assert_eq!(provider, Provider::STANDARD_WEBHOOKS);
/// assert_eq!(provider.to_string(), "standard-webhooks");
/// assert!("no-such-sender".parse::<Provider>().is_err());
/// assert_eq!(serde_json::from_str::<Provider>("\"Stripe\"").ok(), Some(Provider::STRIPE));
///
/// let layer = WebhookLayer::new(provider, Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?);
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Provider(pub(super) &'static Entry);

impl Provider {
    /// Returns the name, in kebab-case.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Returns the name as the sender itself writes it, such as `GitLab (signing token)`.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// Returns the URL of the sender's own documentation. It is empty for the style of in-house senders, which has none.
    pub fn official_page(self) -> &'static str {
        self.0.page
    }

    /// Returns what the entry was written from.
    pub fn evidence(self) -> Evidence {
        self.0.evidence
    }

    /// Returns what a duplicate is for this sender, which decides what idempotency does with its deliveries.
    pub fn duplicates(self) -> Duplicates {
        self.0.duplicates.unwrap_or(Duplicates::Undocumented)
    }

    /// Returns where the sender puts several events into one request, as a JSON pointer to an array of the body; it is empty where the
    /// body is the array. Such a request is still one delivery: the handler goes through the array, and identifies each event by an id
    /// of its own.
    pub fn batch(self) -> Option<&'static str> {
        self.0.batch
    }

    /// Returns how long the sender waits for an answer, if that is known. What answers later is repeated, or lost.
    pub fn deadline(self) -> Option<Duration> {
        self.0.deadline
    }

    /// Returns how long the sender repeats a delivery that failed, if that is known; zero if it never does.
    pub fn retries_for(self) -> Option<Duration> {
        self.0.retries
    }
}

impl From<Provider> for Scheme {
    fn from(provider: Provider) -> Self {
        provider.0.declare().build().expect("every entry of the catalogue is whole, as its tests show")
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Provider {}

impl std::hash::Hash for Provider {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.0.name)
    }
}
