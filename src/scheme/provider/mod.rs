//! The catalogue: named, ready schemes.

pub(crate) mod catalogue;
mod entry;
mod families;
#[cfg(test)]
mod page;

mod adyen_payments;
#[cfg_attr(not(feature = "asymmetric"), allow(dead_code))] // The catalogue has it with this feature.
pub(crate) mod aws_sns;
mod braintree;
mod cloudevents;
mod contentful;
#[cfg(feature = "asymmetric")]
mod discord;
mod dropbox;
mod dropbox_sign;
mod front;
mod github;
mod gitlab;
mod hook0;
mod hubspot;
mod linear;
mod mailgun;
mod meta;
mod nylas;
mod okta;
mod paddle;
mod pagerduty;
#[cfg_attr(not(feature = "asymmetric"), allow(dead_code))] // The catalogue has it with this feature.
pub(crate) mod paypal;
mod plivo;
mod shopify;
mod slack;
mod square;
mod standard_webhooks;
mod stripe;
mod trello;
pub(crate) mod truelayer;
mod twilio;
mod twitch;
mod x_twitter;
mod x_webhook;
mod zoom;

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

pub(crate) use self::catalogue::{SIGNATURE_HEADERS, is_known};
pub use self::entry::{Duplicates, Evidence};
use self::{catalogue::KNOWN, entry::Entry};
use super::{Scheme, SchemeBuilder};
use crate::error::{ConfigError, ConfigErrorKind};

/// A named, ready scheme.
///
/// A provider is one entry of the catalogue. It can be named in code, or by text from a configuration; case, `-` and `_` do
/// not matter. It is [`Serialize`] as its name, and [`Deserialize`] from any of its names.
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
pub struct Provider(&'static Entry);

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

    /// Returns the source of the entry.
    pub fn evidence(self) -> Evidence {
        self.0.evidence
    }

    /// Returns what identifies a duplicate of this sender, which determines how idempotency treats its deliveries.
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

impl FromStr for Provider {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wanted = plain(text);
        Self::ALL
            .iter()
            .find(|provider| {
                plain(provider.0.name) == wanted || provider.0.aliases.iter().any(|alias| plain(alias) == wanted)
            })
            .copied()
            .ok_or_else(|| {
                let missing =
                    KNOWN.iter().find(|(name, _)| plain(name) == wanted).and_then(|(_, features)| features.first());
                let message = match missing {
                    Some(feature) => format!("the provider `{text}` needs the feature `{feature}`"),
                    None => unknown(text),
                };
                ConfigError::new(ConfigErrorKind::Provider, message)
            })
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

/// The message for an unknown name, with similar names.
fn unknown(text: &str) -> String {
    const CLOSEST: usize = 5;
    let text: String = text.chars().take(64).collect();
    let wanted = plain(&text);
    let mut names: Vec<_> = Provider::ALL.iter().map(|provider| provider.name()).collect();
    names.sort_by_key(|name| distance(&plain(name), &wanted));
    let closest: Vec<_> = names.iter().take(CLOSEST).map(|name| format!("`{name}`")).collect();
    let count = names.len();
    format!(
        "there is no provider {text:?}; the closest of {count} names are {}; `Provider::ALL` has all",
        closest.join(", ")
    )
}

/// How many letters have to be added, taken away or changed to make one of two names the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, there) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *there);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// As its name.
impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

/// From any of its names, as by [`FromStr`].
impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Provider;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a provider")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Provider, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, Provider, Scheme, plain};

    #[test]
    fn every_entry_is_whole_and_every_name_is_its_own() {
        let mut names = Vec::new();
        for provider in Provider::ALL {
            let scheme = Scheme::from(*provider);
            assert_eq!(scheme.name(), provider.name());
            names.push(plain(provider.name()));
            names.extend(provider.0.aliases.iter().map(|alias| plain(alias)));
        }
        let count = names.len();
        names.sort();
        names.dedup();

        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_provider_that_this_build_leaves_out_is_told_from_one_that_nobody_knows() {
        for (name, features) in KNOWN {
            match name.parse::<Provider>() {
                Ok(provider) => assert_eq!(provider.name(), *name),
                Err(error) => assert!(features.iter().any(|feature| error.to_string().contains(feature)), "{error}"),
            }
        }
        let error = "no-such-sender".parse::<Provider>().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("there is no provider \"no-such-sender\"; the closest of "), "{text}");
        for (wrong, right) in [("strype", "stripe"), ("git hub", "github"), ("Standard Webhook", "standard-webhooks")] {
            let text = wrong.parse::<Provider>().unwrap_err().to_string();
            assert!(text.contains(&format!("names are `{right}`")) && text.len() < 500, "{text}");
        }
        assert!("x".repeat(100_000).parse::<Provider>().unwrap_err().to_string().len() < 2000);
    }
}
