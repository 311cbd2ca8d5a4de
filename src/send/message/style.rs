use std::{fmt, str::FromStr};

use http::HeaderName;

use crate::error::{ConfigError, ConfigErrorKind};

/// How deliveries are signed, and what their envelope looks like.
///
/// ```
/// use tower_webhooks::send::Style;
///
/// assert_eq!("standard-webhooks".parse::<Style>()?, Style::StandardWebhooks);
/// assert_eq!(Style::XWebhook.to_string(), "x-webhook");
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,…`. There are
    /// libraries that verify it in every common language.
    StandardWebhooks,
    /// Standard Webhooks with a private key: the same headers, with `webhook-signature: v1a,…` by Ed25519. The receiver has the
    /// public key, which cannot sign.
    StandardWebhooksV1a,
    /// `X-Webhook-Signature: sha256=…` over the body, with `X-Webhook-Delivery` and `X-Webhook-Event` beside it. It is as
    /// easy to verify as GitHub's. The time of sending is not signed, so a recorded delivery can be replayed; the signed id in
    /// its body shows that it is a duplicate.
    XWebhook,
}

impl Style {
    /// Returns the name of the header for the number of the attempt.
    pub(crate) fn attempt_header(self) -> HeaderName {
        match self.envelope() {
            Self::XWebhook => X_WEBHOOK_ATTEMPT,
            _ => WEBHOOK_ATTEMPT,
        }
    }

    /// Returns the style's name in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::StandardWebhooksV1a => "standard-webhooks-v1a",
            Self::XWebhook => "x-webhook",
        }
    }

    /// Returns the style that represents all styles with the same envelope.
    pub(crate) fn envelope(self) -> Self {
        match self {
            Self::StandardWebhooks | Self::StandardWebhooksV1a => Self::StandardWebhooks,
            Self::XWebhook => Self::XWebhook,
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Style {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        [Self::StandardWebhooks, Self::StandardWebhooksV1a, Self::XWebhook]
            .into_iter()
            .find(|style| style.as_str() == text)
            .ok_or_else(|| ConfigError::new(ConfigErrorKind::Scheme, format!("unknown style `{text}`")))
    }
}

const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const X_WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("x-webhook-attempt");
