//! The catalogue: named, ready schemes.

mod github;
mod slack;
mod standard_webhooks;
mod stripe;

use std::{fmt, str::FromStr};

use super::{Scheme, SchemeBuilder};
use crate::error::{ConfigError, ConfigErrorKind};

/// A named, ready scheme.
///
/// A provider is one entry of the catalogue. It can be named in code, or by text from a configuration; case, `-` and `_` do
/// not matter.
///
/// ```
/// use tower_webhooks::{Provider, Secret, WebhookLayer};
///
/// let provider: Provider = "Standard_Webhooks".parse()?;
/// assert_eq!(provider, Provider::STANDARD_WEBHOOKS);
/// assert_eq!(provider.to_string(), "standard-webhooks");
/// assert!("no-such-sender".parse::<Provider>().is_err());
///
/// let layer = WebhookLayer::new(provider, Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?);
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Provider(&'static Entry);

struct Entry {
    /// In kebab-case; it stands in store keys and never changes.
    name: &'static str,
    /// Other names that parse to it.
    aliases: &'static [&'static str],
    scheme: fn() -> SchemeBuilder,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, [$($alias:literal),*], $scheme:path;)*) => {
        impl Provider {
            $($(#[$doc])* pub const $constant: Self = Self(&Entry { name: $name, aliases: &[$($alias),*], scheme: $scheme });)*

            /// Every provider, by name.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

catalogue! {
    /// GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 over the body.
    GITHUB = "github", [], github::scheme;
    /// Slack: `X-Slack-Signature`, HMAC-SHA-256 over version, timestamp and body.
    SLACK = "slack", [], slack::scheme;
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same with `svix-`.
    STANDARD_WEBHOOKS = "standard-webhooks", [], standard_webhooks::scheme;
    /// Stripe: `Stripe-Signature`, HMAC-SHA-256 over timestamp and body.
    STRIPE = "stripe", [], stripe::scheme;
    /// Svix: `svix-id`, `svix-timestamp` and `svix-signature`, or the same with `webhook-`.
    SVIX = "svix", [], standard_webhooks::svix;
}

impl Provider {
    /// The provider's name, in kebab-case.
    pub fn name(self) -> &'static str {
        self.0.name
    }
}

impl From<Provider> for Scheme {
    fn from(provider: Provider) -> Self {
        (provider.0.scheme)()
            .name(provider.0.name)
            .build()
            .expect("every entry of the catalogue is whole, as its tests show")
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
            .ok_or_else(|| ConfigError::new(ConfigErrorKind::Provider, format!("there is no provider `{text}`")))
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

fn plain(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Provider, Scheme, plain};

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
}
