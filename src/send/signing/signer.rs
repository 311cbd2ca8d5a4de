use std::{fmt, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    observe,
    secret::Secrets,
    send::message::{
        message::{Message, MessageId},
        style::Style,
    },
    signature::{Encoding, MacAlgorithm, MacState, PrivateKey},
};

/// Signs deliveries. It is cheap to clone, and prepares its keys once.
///
/// During a rotation all secrets sign, so a receiver can have the old one or the new one.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhooks::{Secret, send::Signer};
///
/// let signer = Signer::standard_webhooks(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?)?;
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
///
/// let headers = signer.sign(&"msg_p5jXN8AQM9LWM0D4loKWxJek".parse()?, at, br#"{"test": 2432232314}"#);
/// assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
///
/// assert!(Signer::standard_webhooks(Secret::new("not base64")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer {
    style: Style,
    keys: Arc<[Key]>,
}

struct Key {
    state: KeyState,
    until: Option<SystemTime>,
}

enum KeyState {
    Mac(MacState),
    Private(PrivateKey),
}

impl Signer {
    /// Creates a signer for Standard Webhooks (`v1`). A secret is base64, with or without the prefix `whsec_`.
    ///
    /// # Errors
    /// When there is no secret without an end, or one does not have that form.
    pub fn standard_webhooks(secrets: impl Into<Secrets>) -> Result<Self, ConfigError> {
        Self::new(Style::StandardWebhooks, &secrets.into(), |secret| {
            let text = secret.strip_prefix(b"whsec_").unwrap_or(secret);
            let key = Encoding::Base64.decode(text).filter(|key| !key.is_empty()).map(Zeroizing::new);
            let not_base64 = "the secret is not base64 after an optional `whsec_`";
            Ok(mac(Style::StandardWebhooks, &key.ok_or_else(|| error(not_base64))?))
        })
    }

    /// Creates a signer for Standard Webhooks with private keys (`v1a`, Ed25519). A secret is `whsk_` and the base64 of a seed of
    /// 32 bytes, or of 64 bytes, which are seed and public key. Give receivers the [`public_keys`](Self::public_keys).
    ///
    /// # Errors
    /// When there is no secret without an end; when there are more than 4, since the receivers of this crate look at no more
    /// signatures; or when one does not have that form.
    ///
    /// # Examples
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_webhooks::{Secret, send::Signer};
    ///
    /// let private = Secret::new("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")?;
    /// let signer = Signer::standard_webhooks_v1a(private)?;
    /// assert_eq!(signer.public_keys(), ["whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="]);
    ///
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
    /// let headers = signer.sign(&"msg_p5jXN8AQM9LWM0D4loKWxJek".parse()?, at, br#"{"test": 2432232314}"#);
    /// assert_eq!(
    ///     headers["webhook-signature"],
    ///     "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn standard_webhooks_v1a(secrets: impl Into<Secrets>) -> Result<Self, ConfigError> {
        let secrets = secrets.into();
        if secrets.len() > MOST_PRIVATE {
            return Err(error("there are more than 4 private keys, and a receiver looks at no more than 4 signatures"));
        }
        Self::new(Style::StandardWebhooksV1a, &secrets, |secret| PrivateKey::parse(secret).map(KeyState::Private))
    }

    /// Creates a signer for `X-Webhook-Signature: sha256=<hex>` over the body. A secret is the key itself, as text.
    ///
    /// During a rotation the header contains a list of signatures, separated by commas.
    ///
    /// # Errors
    /// When there is no secret without an end.
    pub fn x_webhook(secrets: impl Into<Secrets>) -> Result<Self, ConfigError> {
        Self::new(Style::XWebhook, &secrets.into(), |secret| Ok(mac(Style::XWebhook, secret)))
    }

    /// Creates a signer for a style that is known at run time.
    ///
    /// # Errors
    /// As [`standard_webhooks`](Self::standard_webhooks), [`standard_webhooks_v1a`](Self::standard_webhooks_v1a) and
    /// [`x_webhook`](Self::x_webhook).
    pub fn in_style(style: Style, secrets: impl Into<Secrets>) -> Result<Self, ConfigError> {
        match style {
            Style::StandardWebhooks => Self::standard_webhooks(secrets),
            Style::StandardWebhooksV1a => Self::standard_webhooks_v1a(secrets),
            Style::XWebhook => Self::x_webhook(secrets),
        }
    }

    fn new(
        style: Style,
        secrets: &Secrets,
        key: impl Fn(&[u8]) -> Result<KeyState, ConfigError>,
    ) -> Result<Self, ConfigError> {
        // If every secret had an end, nothing would be signed after the last one.
        if !secrets.entries().iter().any(|entry| entry.until.is_none()) {
            return Err(error("there is no secret without an end"));
        }
        let keys = secrets
            .entries()
            .iter()
            .map(|entry| Ok(Key { state: key(entry.secret.expose())?, until: entry.until }))
            .collect::<Result<_, ConfigError>>()?;
        Ok(Self { style, keys })
    }

    /// Returns the style.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Returns the public keys of this signer in the order of its secrets, as `whpk_` and base64. The list is empty if the secrets
    /// are shared.
    pub fn public_keys(&self) -> Vec<String> {
        let public = |key: &Key| match &key.state {
            KeyState::Mac(_) => None,
            KeyState::Private(key) => Some(key.public_text()),
        };
        self.keys.iter().filter_map(public).collect()
    }

    /// Signs a body, and returns the headers to send with it. The id is that of the message, and the same at every attempt; `now`
    /// is the time of this attempt.
    ///
    /// [`Style::XWebhook`] does not sign the time. It is used only to leave out secrets that have ended.
    pub fn sign(&self, id: &MessageId, now: SystemTime, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        match self.style {
            Style::StandardWebhooks | Style::StandardWebhooksV1a => {
                let version = if self.style == Style::StandardWebhooks { "v1," } else { "v1a," };
                let seconds = unix_seconds(now).to_string();
                let signed = [id.as_str().as_bytes(), b".", seconds.as_bytes(), b".", body];
                let signature = self.signatures(now, &signed, version, Encoding::Base64, " ");
                headers.insert(WEBHOOK_ID, value(id.as_str()));
                headers.insert(WEBHOOK_TIMESTAMP, value(&seconds));
                headers.insert(WEBHOOK_SIGNATURE, value(&signature));
            }
            Style::XWebhook => {
                let signature = self.signatures(now, &[body], "sha256=", Encoding::Hex, ",");
                headers.insert(X_WEBHOOK_DELIVERY, value(id.as_str()));
                headers.insert(X_WEBHOOK_SIGNATURE, value(&signature));
            }
        }
        headers
    }

    /// Signs a message whose body was written by [`Message::body`] in this signer's [`style`](Self::style), and returns
    /// all headers of a delivery: those of the signature, the content type, and in [`Style::XWebhook`] the event.
    pub fn headers(&self, message: &Message, now: SystemTime, body: &[u8]) -> HeaderMap {
        self.delivery_headers(message.message_id(), message.event_type(), now, body)
    }

    /// As [`headers`](Self::headers), for the parts of a message.
    pub(crate) fn delivery_headers(&self, id: &MessageId, event_type: &str, now: SystemTime, body: &[u8]) -> HeaderMap {
        let mut headers = self.sign(id, now, body);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.style == Style::XWebhook {
            headers.insert(X_WEBHOOK_EVENT, value(event_type));
        }
        headers
    }

    fn signatures(
        &self,
        now: SystemTime,
        signed: &[&[u8]],
        prefix: &str,
        encoding: Encoding,
        separator: &str,
    ) -> Zeroizing<String> {
        let usable = self.keys.iter().filter(|key| key.until.is_none_or(|until| now < until));
        let signatures: Vec<_> = usable
            .map(|key| {
                let signature = match &key.state {
                    KeyState::Mac(mac) => {
                        let mut mac = mac.clone();
                        signed.iter().for_each(|piece| mac.update(piece));
                        mac.finish()
                    }
                    KeyState::Private(key) => key.sign(&signed.concat()),
                };
                format!("{prefix}{}", encoding.encode(signature.as_bytes()))
            })
            .collect();
        Zeroizing::new(signatures.join(separator))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("style", &self.style).field("secrets", &self.keys.len()).finish_non_exhaustive()
    }
}

fn mac(style: Style, key: &[u8]) -> KeyState {
    if key.len() < SHORT {
        observe::short_secret(style.as_str());
    }
    KeyState::Mac(MacState::new(MacAlgorithm::Sha256, key))
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, event types, numbers and signatures are visible ASCII")
}

/// Shorter keys can be guessed. They work, and a warning is logged.
const SHORT: usize = 16;

/// Receivers of this crate reject a request with more signatures of this kind.
const MOST_PRIVATE: usize = 4;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const X_WEBHOOK_DELIVERY: HeaderName = HeaderName::from_static("x-webhook-delivery");
const X_WEBHOOK_EVENT: HeaderName = HeaderName::from_static("x-webhook-event");
const X_WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Signer;
    use crate::secret::{Secret, Secrets};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn every_secret_signs_until_its_end() {
        let secrets = Secrets::new(secret("bmV3IG5ldyBuZXcgbmV3IG5ldw==")).and_until(secret("b2xkIG9sZA=="), at(100));
        let signer = Signer::standard_webhooks(secrets).unwrap();
        let count = |now| {
            let headers = signer.sign(&"m".parse().unwrap(), at(now), b"{}");
            headers["webhook-signature"].to_str().unwrap().split(' ').count()
        };

        assert_eq!(count(99), 2);
        assert_eq!(count(100), 1);
    }

    #[test]
    fn a_signer_without_a_lasting_secret_cannot_be_built() {
        assert!(Signer::x_webhook(Secrets::none()).is_err());
        assert!(Signer::x_webhook([]).is_err());
        assert!(Signer::x_webhook(Secrets::none().and_until(secret("b2xkIG9sZA=="), at(100))).is_err());
        for text in ["whsec_", "*", "whsec_ "] {
            assert!(Secret::new(text).and_then(Signer::standard_webhooks).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        let signer = Signer::standard_webhooks(secret("b2xkIG9sZA==")).unwrap();
        let headers = signer.sign(&"m".parse().unwrap(), SystemTime::UNIX_EPOCH - Duration::from_secs(9), b"");

        assert_eq!(headers["webhook-timestamp"], "0");
    }

    #[test]
    fn no_secret_is_in_a_log() {
        let text = format!("{:?}", Signer::x_webhook(secret("the signing key itself")).unwrap());

        assert!(!text.contains("the signing"), "{text}");
    }
}
