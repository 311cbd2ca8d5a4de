//! Signs as the senders do, written apart from the crate's own code, so that a mistake in one does not hide in the other.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower_webhooks::{Provider, Secret, WebhookLayer, clock::ManualClock};

/// What every receiver's clock shows, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// The id of deliveries whose id is in a header.
pub(crate) const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";

/// A header as it goes over the wire.
pub(crate) type Line = (String, Vec<u8>);

/// A provider, seen from its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    GitHub,
    Slack,
    StandardWebhooks,
    Stripe,
    Svix,
}

impl Sender {
    pub(crate) const ALL: [Self; 5] = [Self::GitHub, Self::Slack, Self::StandardWebhooks, Self::Stripe, Self::Svix];
    /// Those that sign the time.
    pub(crate) const STAMPING: [Self; 4] = [Self::Slack, Self::StandardWebhooks, Self::Stripe, Self::Svix];

    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::GitHub => Provider::GITHUB,
            Self::Slack => Provider::SLACK,
            Self::StandardWebhooks => Provider::STANDARD_WEBHOOKS,
            Self::Stripe => Provider::STRIPE,
            Self::Svix => Provider::SVIX,
        }
    }

    /// The secret as its owner copies it from the provider's page.
    pub(crate) fn secret_text(self) -> &'static str {
        match self {
            Self::GitHub => "an endpoint's signing key at GitHub",
            Self::Slack => "8f742231b10e8888abcd99yyyzzz85a5",
            Self::Stripe => "whsec_an endpoint's signing key at Stripe",
            Self::StandardWebhooks | Self::Svix => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        }
    }

    pub(crate) fn secret(self) -> Secret {
        Secret::new(self.secret_text()).expect("the secret is one")
    }

    /// The layer of the receiver, at [`NOW`].
    pub(crate) fn layer(self) -> WebhookLayer {
        WebhookLayer::new(self.provider(), self.secret()).with_clock(ManualClock::at_unix_seconds(NOW))
    }

    /// The key that the secret's text encodes.
    pub(crate) fn key(self, secret: &str) -> Vec<u8> {
        match self {
            Self::GitHub | Self::Slack | Self::Stripe => secret.as_bytes().to_vec(),
            Self::StandardWebhooks | Self::Svix => {
                BASE64.decode(secret.trim_start_matches("whsec_").as_bytes()).expect("the secret is base64")
            }
        }
    }

    pub(crate) fn is_hex(self) -> bool {
        !matches!(self, Self::StandardWebhooks | Self::Svix)
    }

    pub(crate) fn signature_header(self) -> &'static str {
        match self {
            Self::GitHub => "x-hub-signature-256",
            Self::Slack => "x-slack-signature",
            Self::StandardWebhooks => "webhook-signature",
            Self::Stripe => "stripe-signature",
            Self::Svix => "svix-signature",
        }
    }

    pub(crate) fn timestamp_header(self) -> Option<&'static str> {
        match self {
            Self::GitHub | Self::Stripe => None,
            Self::Slack => Some("x-slack-request-timestamp"),
            Self::StandardWebhooks => Some("webhook-timestamp"),
            Self::Svix => Some("svix-timestamp"),
        }
    }

    /// The text that is signed.
    pub(crate) fn content(self, id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
        let before = match self {
            Self::GitHub => String::new(),
            Self::Slack => format!("v0:{timestamp}:"),
            Self::StandardWebhooks | Self::Svix => format!("{id}.{timestamp}."),
            Self::Stripe => format!("{timestamp}."),
        };
        [before.as_bytes(), body].concat()
    }

    /// The text of a tag.
    pub(crate) fn encode(self, tag: &[u8]) -> String {
        if self.is_hex() { HEXLOWER.encode(tag) } else { BASE64.encode(tag) }
    }

    /// The value of the signature header that claims `tag`, which may be anything.
    pub(crate) fn value(self, timestamp: &str, tag: &str) -> String {
        match self {
            Self::GitHub => format!("sha256={tag}"),
            Self::Slack => format!("v0={tag}"),
            Self::StandardWebhooks | Self::Svix => format!("v1,{tag}"),
            Self::Stripe => format!("t={timestamp},v1={tag}"),
        }
    }

    /// The headers of a delivery with this signature header.
    pub(crate) fn headers(self, id: &str, timestamp: &str, value: impl Into<Vec<u8>>) -> Vec<Line> {
        let mut lines = vec![(self.signature_header().to_owned(), value.into())];
        if let Some(name) = self.timestamp_header() {
            lines.push((name.to_owned(), timestamp.into()));
        }
        match self {
            Self::GitHub => {
                lines.push(("x-github-event".to_owned(), b"push".to_vec()));
                lines.push(("x-github-delivery".to_owned(), id.into()));
            }
            Self::StandardWebhooks => lines.push(("webhook-id".to_owned(), id.into())),
            Self::Svix => lines.push(("svix-id".to_owned(), id.into())),
            Self::Slack | Self::Stripe => {}
        }
        lines
    }

    /// The text of the right tag.
    pub(crate) fn tag(self, timestamp: &str, body: &[u8]) -> String {
        self.tag_with(&self.key(self.secret_text()), timestamp, body)
    }

    pub(crate) fn tag_with(self, key: &[u8], timestamp: &str, body: &[u8]) -> String {
        self.encode(&hmac_sha256(key, &self.content(ID, timestamp, body)))
    }

    /// The headers of a true delivery that is signed now.
    pub(crate) fn sign(self, body: &[u8]) -> Vec<Line> {
        self.sign_at(&NOW.to_string(), body)
    }

    /// The headers of a delivery that is rightly signed with this text as its timestamp.
    pub(crate) fn sign_at(self, timestamp: &str, body: &[u8]) -> Vec<Line> {
        self.headers(ID, timestamp, self.value(timestamp, &self.tag(timestamp, body)))
    }

    /// The headers of a delivery at [`NOW`] whose signature header holds this.
    pub(crate) fn claiming(self, value: impl Into<Vec<u8>>) -> Vec<Line> {
        self.headers(ID, &NOW.to_string(), value)
    }
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn line(name: &str, value: impl Into<Vec<u8>>) -> Line {
    (name.to_owned(), value.into())
}
