use std::{fmt, str::FromStr};

use http::HeaderName;

use crate::error::{ConfigError, ConfigErrorKind};

/// How deliveries are signed, and what their envelope looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,…`. Libraries verify it in every
    /// language.
    StandardWebhooks,
    /// Standard Webhooks with a private key: the same headers, `webhook-signature: v1a,…`, by Ed25519. The receiver holds the
    /// public key, and can sign nothing with it.
    StandardWebhooksV1a,
    /// `X-Webhook-Signature: sha256=…` over the body, with `X-Webhook-Delivery` and `X-Webhook-Event` beside it. It is as
    /// easy to check by hand as GitHub's. The moment of sending is not signed, so a recorded delivery can be replayed; the
    /// signed id in its body tells that it is old.
    XWebhook,
}

impl Style {
    /// The header that tells which attempt it is, where the application wants one.
    pub(crate) fn attempt_header(self) -> HeaderName {
        match self.envelope() {
            Self::XWebhook => X_WEBHOOK_ATTEMPT,
            _ => WEBHOOK_ATTEMPT,
        }
    }

    /// The style's name, in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::StandardWebhooksV1a => "standard-webhooks-v1a",
            Self::XWebhook => "x-webhook",
        }
    }

    /// The style that stands for all those with the same envelope.
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
            .ok_or_else(|| ConfigError::new(ConfigErrorKind::Scheme, format!("there is no style `{text}`")))
    }
}

const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const X_WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("x-webhook-attempt");
