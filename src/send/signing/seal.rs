use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    secret::Secret,
    send::{
        error::{SendError, SendErrorKind},
        outbox::store::{endpoint::Sealed, ids::EndpointId},
    },
    signature::Encoding,
};

/// The application's key, with which the secrets of endpoints are sealed at rest (XChaCha20-Poly1305).
///
/// It is 32 random bytes: `openssl rand -base64 32` creates them. Keep it apart from the database. Its id is derived from it,
/// and is stored with what it has sealed, so that several keys can be in use during a change of keys.
///
/// ```
/// use tower_webhooks::send::SealingKey;
///
/// let key = SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?;
/// assert_eq!(key.id().len(), 16);
///
/// assert!(SealingKey::parse("too short").is_err());
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SealingKey {
    id: String,
    key: Secret,
}

impl SealingKey {
    /// Creates a key from its bytes.
    ///
    /// # Errors
    /// When all bytes are white space, as in a key that was never set.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, ConfigError> {
        let mut hash = Sha256::new();
        hash.update(b"tower-webhooks sealing key id");
        hash.update(bytes);
        let id = Encoding::Hex.encode(&hash.finalize()[..8]);
        Ok(Self { id, key: Secret::from_bytes(bytes)? })
    }

    /// Reads a key from text: base64 or hexadecimal.
    ///
    /// # Errors
    /// When the text is not 32 bytes in one of these forms.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bytes = [Encoding::Hex, Encoding::Base64]
            .into_iter()
            .filter_map(|encoding| encoding.decode(text.as_bytes()).map(Zeroizing::new))
            .find_map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
        match bytes {
            Some(bytes) => Self::from_bytes(*bytes),
            None => Err(error("a sealing key is 32 bytes in base64 or hexadecimal")),
        }
    }

    /// Reads a key from an environment variable.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when the variable is not set. The error names the variable.
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        let text = Secret::from_env(name)?;
        std::str::from_utf8(text.expose()).map_err(|_| error("a sealing key is text")).and_then(Self::parse).map_err(
            |cause| {
                let message = format!("the environment variable `{name}` holds no sealing key");
                ConfigError::new(ConfigErrorKind::Secret, message).with_source(cause)
            },
        )
    }

    /// Returns the id of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, SendError> {
        XChaCha20Poly1305::new_from_slice(self.key.expose())
            .map_err(|_| SendError::new(SendErrorKind::Sealing, "the sealing key is not of 32 bytes"))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Seals with the first key and opens with any of them. Without a key, by the application's choice, it does neither.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealer {
    pub(crate) keys: Vec<SealingKey>,
}

impl Sealer {
    /// Returns the name of the key that seals, which is empty if there is no key.
    pub(crate) fn key(&self) -> &str {
        self.keys.first().map(SealingKey::id).unwrap_or_default()
    }

    /// Seals bytes for one endpoint. They cannot be replaced by what was sealed for another endpoint.
    pub(crate) fn seal(&self, id: EndpointId, plain: &[u8]) -> Result<Sealed, SendError> {
        self.seal_as(&id.to_string(), plain)
    }

    /// Opens what was sealed for an endpoint.
    pub(crate) fn open(&self, id: EndpointId, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        self.open_as(&id.to_string(), sealed)
    }

    /// Seals bytes under a name. Names other than the ids of endpoints have a space in them.
    pub(crate) fn seal_as(&self, name: &str, plain: &[u8]) -> Result<Sealed, SendError> {
        let Some(key) = self.keys.first() else { return Ok(Sealed::new("", plain.to_vec())) };
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(SendError::randomness)?;
        let sealed = key
            .cipher()?
            .encrypt(&nonce.into(), Payload { msg: plain, aad: name.as_bytes() })
            .map_err(|_| SendError::new(SendErrorKind::Sealing, "an endpoint's secrets could not be sealed"))?;
        Ok(Sealed::new(key.id(), [&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed under a name.
    pub(crate) fn open_as(&self, id: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SendError> {
        let error = |message: String| SendError::new(SendErrorKind::Sealing, message);
        if sealed.key.is_empty() {
            // If there are keys, secrets that are not sealed are rejected. Otherwise whoever can write to the database
            // could choose them.
            return match self.keys.is_empty() {
                true => Ok(Zeroizing::new(sealed.bytes.to_vec())),
                false => {
                    Err(error(format!("the secrets of `{id}` are not sealed, and the dispatcher has a sealing key")))
                }
            };
        }
        let key = self.keys.iter().find(|key| key.id == sealed.key).ok_or_else(|| {
            error(format!(
                "the secrets of `{id}` were sealed with the key `{}`, which the dispatcher does not have",
                sealed.key
            ))
        })?;
        let broken = || error(format!("the secrets of `{id}` were changed after they were sealed"));
        let (nonce, bytes) = sealed.bytes.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let plain = key.cipher()?.decrypt(&(*nonce).into(), Payload { msg: bytes, aad: id.as_bytes() });
        plain.map(Zeroizing::new).map_err(|_| broken())
    }
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

const NONCE: usize = 24;

#[cfg(test)]
mod tests {
    use super::{Sealer, SealingKey};
    use crate::send::{
        error::SendErrorKind,
        outbox::store::{endpoint::Sealed, ids::EndpointId},
    };

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_for_the_same_endpoint_alone() {
        let (one, other) = (EndpointId::random().unwrap(), EndpointId::random().unwrap());
        let old = Sealer { keys: vec![key(1)] };
        let sealed = old.seal(one, b"secret").unwrap();
        let both = Sealer { keys: vec![key(2), key(1)] };
        let open = |sealer: &Sealer, id, sealed: &Sealed| sealer.open(id, sealed).map(|plain| plain.to_vec());

        assert_eq!(open(&both, one, &sealed).unwrap(), b"secret");
        assert!(!sealed.bytes.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(both.seal(one, b"secret").unwrap().key, key(2).id());
        for (sealer, id) in [(&both, other), (&Sealer { keys: vec![key(3)] }, one), (&Sealer::default(), one)] {
            assert_eq!(open(sealer, id, &sealed).unwrap_err().kind(), SendErrorKind::Sealing);
        }
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.to_vec();
            bytes[at] ^= 1;
            assert!(open(&both, one, &Sealed::new(sealed.key.clone(), bytes)).is_err());
        }
        assert!(open(&both, one, &Sealed::new(sealed.key, &b"short"[..])).is_err());
    }

    #[test]
    fn plain_secrets_are_for_a_dispatcher_without_a_key_alone() {
        let id = EndpointId::random().unwrap();
        let plain = Sealer::default().seal(id, b"secret").unwrap();

        assert_eq!(Sealer::default().open(id, &plain).unwrap().to_vec(), b"secret");
        assert!(Sealer { keys: vec![key(1)] }.open(id, &plain).is_err());
    }

    #[test]
    fn a_key_is_read_in_both_forms_and_its_text_is_in_no_log() {
        let hex = "11".repeat(32);
        let base64 = "ERERERERERERERERERERERERERERERERERERERERERE=";

        assert_eq!(SealingKey::parse(&hex).unwrap().id(), SealingKey::parse(base64).unwrap().id());
        for text in ["", "11", &hex[1..], "whsec_ERERERERERERERERERERERERERERERERERERERERERE="] {
            assert!(SealingKey::parse(text).is_err(), "{text}");
        }
        assert!(!format!("{:?}", key(0x11)).contains("17, 17"));
    }
}
