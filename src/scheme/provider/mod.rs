//! The catalogue: named, ready schemes.

mod dropbox;
mod github;
mod gitlab;
mod linear;
mod meta;
mod paddle;
mod pagerduty;
mod shopify;
mod slack;
mod square;
mod standard_webhooks;
mod stripe;
mod twitch;
mod x_webhook;
mod zoom;

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

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

struct Entry {
    /// In kebab-case; it stands in store keys and never changes.
    name: &'static str,
    /// Other names that parse to it.
    aliases: &'static [&'static str],
    scheme: fn() -> SchemeBuilder,
}

/// An entry may end with the feature that it needs.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, [$($alias:literal),*], $scheme:path $(, $feature:literal)?;)*) => {
        impl Provider {
            $(
                $(#[$doc])*
                $(#[cfg(feature = $feature)])?
                pub const $constant: Self = Self(&Entry { name: $name, aliases: &[$($alias),*], scheme: $scheme });
            )*

            /// Every provider, by name.
            pub const ALL: &'static [Self] = &[$($(#[cfg(feature = $feature)])? Self::$constant),*];
        }

        /// The providers of any build, each with the feature that it needs, if it needs one.
        const KNOWN: &[(&str, &[&str])] = &[$(($name, &[$($feature)?])),*];
    };
}

catalogue! {
    /// Clerk: `svix-id`, `svix-timestamp` and `svix-signature`, as in Standard Webhooks.
    CLERK = "clerk", [], standard_webhooks::clerk;
    /// Dropbox: `X-Dropbox-Signature`, HMAC-SHA-256 over the body.
    DROPBOX = "dropbox", [], dropbox::scheme;
    /// GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 over the body.
    GITHUB = "github", [], github::scheme;
    /// GitLab with a signing token: Standard Webhooks.
    GITLAB_SIGNING = "gitlab-signing", [], gitlab::signing;
    /// GitLab with a secret token, which does not bind the body: `X-Gitlab-Token`.
    GITLAB_TOKEN = "gitlab-token", ["gitlab"], gitlab::token;
    /// Linear: `Linear-Signature`, HMAC-SHA-256 over the body, which holds the time.
    LINEAR = "linear", [], linear::scheme;
    /// Meta (Facebook, Instagram, Messenger, Threads, WhatsApp): `X-Hub-Signature-256`, HMAC-SHA-256 over the body.
    META = "meta", [], meta::scheme;
    /// OpenAI: Standard Webhooks.
    OPENAI = "openai", [], standard_webhooks::openai;
    /// Paddle Billing: `Paddle-Signature`, HMAC-SHA-256 over timestamp and body.
    PADDLE = "paddle", [], paddle::scheme;
    /// PagerDuty, version 3: `X-PagerDuty-Signature`, HMAC-SHA-256 over the body.
    PAGERDUTY = "pagerduty", [], pagerduty::scheme;
    /// Resend: `svix-id`, `svix-timestamp` and `svix-signature`, as in Standard Webhooks.
    RESEND = "resend", [], standard_webhooks::svix;
    /// Shopify: `X-Shopify-Hmac-Sha256` or `Shopify-Hmac-Sha256`, HMAC-SHA-256 over the body.
    SHOPIFY = "shopify", [], shopify::scheme;
    /// Slack: `X-Slack-Signature`, HMAC-SHA-256 over version, timestamp and body.
    SLACK = "slack", [], slack::scheme;
    /// Square: `x-square-hmacsha256-signature`, HMAC-SHA-256 over URL and body.
    SQUARE = "square", [], square::scheme;
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same with `svix-`.
    STANDARD_WEBHOOKS = "standard-webhooks", [], standard_webhooks::scheme;
    /// Standard Webhooks with public keys, `v1a`: the same headers, Ed25519.
    STANDARD_WEBHOOKS_V1A = "standard-webhooks-v1a", [], standard_webhooks::v1a, "asymmetric";
    /// Stripe: `Stripe-Signature`, HMAC-SHA-256 over timestamp and body.
    STRIPE = "stripe", [], stripe::scheme;
    /// Svix: `svix-id`, `svix-timestamp` and `svix-signature`, or the same with `webhook-`.
    SVIX = "svix", [], standard_webhooks::svix;
    /// Twitch EventSub: `Twitch-Eventsub-Message-Signature`, HMAC-SHA-256 over id, timestamp and body.
    TWITCH = "twitch", [], twitch::scheme;
    /// The X-Webhook style of in-house senders: `X-Webhook-Signature`, HMAC-SHA-256 over the body.
    X_WEBHOOK = "x-webhook", [], x_webhook::scheme;
    /// Zoom: `x-zm-signature`, HMAC-SHA-256 over version, timestamp and body.
    ZOOM = "zoom", [], zoom::scheme;
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

/// What to say of a name that nobody has, with the names that there are: no more than a configuration's author reads.
fn unknown(text: &str) -> String {
    const MOST: usize = 40;
    let text: String = text.chars().take(64).collect();
    let names: Vec<_> = Provider::ALL.iter().take(MOST).map(|provider| format!("`{provider}`")).collect();
    let more = match Provider::ALL.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("there is no provider {text:?}; the known ones are {}{more}", names.join(", "))
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
        assert!(
            text.starts_with("there is no provider \"no-such-sender\"; the known ones are `clerk`, `dropbox`"),
            "{text}"
        );
        assert!(text.contains("`stripe`") && text.len() < 2000, "{text}");
        assert!("x".repeat(100_000).parse::<Provider>().unwrap_err().to_string().len() < 2000);
    }
}
