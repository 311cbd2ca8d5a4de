//! The application's keys, with which stored secrets and contents are sealed (encrypted and authenticated).
//!
//! 1. A sealed value can be opened only with the same key and for the same name, so it cannot be moved to another row.
//! 2. A key has an id, which is stored with each sealed value, so that keys can be changed.
//! 3. No key is shown by `Debug` or in an error.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    error::{ConfigError, ConfigErrorKind, RandomnessError},
    secret::Secret,
    signature::Encoding,
};

/// The application's key, which encrypts the secrets of endpoints and the content of an inbox at rest
/// (XChaCha20-Poly1305).
///
/// It is 32 random bytes: `openssl rand -base64 32` creates them. Do not store it in the database. Its id is derived
/// from it and is stored with each sealed value, so that several keys can be in use while you change the key.
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
    /// If all bytes are white space, as in a key that was never set.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, ConfigError> {
        // The id is stored in plain text. The prefix separates this hash from any other use of the key, and 8 bytes are
        // enough to distinguish an application's keys.
        let mut hash = Sha256::new();
        hash.update(b"tower-webhooks sealing key id");
        hash.update(bytes);
        let id = Encoding::Hex.encode(&hash.finalize()[..8]);
        Ok(Self { id, key: Secret::from_bytes(bytes)? })
    }

    /// Reads a key from text: base64 or hexadecimal.
    ///
    /// # Errors
    /// If the text is not 32 bytes in one of these forms.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // 64 hexadecimal digits are also valid base64, but of 48 bytes: the length decides which form it is.
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
                let message = format!("the environment variable `{name}` contains no sealing key");
                ConfigError::new(ConfigErrorKind::Secret, message).with_source(cause)
            },
        )
    }

    /// Returns the id of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals bytes under a name: they are opened under no other one.
    pub(crate) fn seal(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, RandomnessError> {
        // A random nonce needs no counter that all processes would have to share. With 24 bytes, a collision is not to
        // be expected.
        let mut nonce = [0; NONCE];
        RandomnessError::fill(&mut nonce)?;
        let sealed = self.cipher().encrypt(&nonce.into(), Payload { msg: plain, aad: name });
        let sealed = sealed.expect("what fits into memory is far below what the cipher takes");
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what this key has sealed under that name. `None` if it was changed since.
    pub(crate) fn open(&self, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, bytes) = sealed.split_first_chunk::<NONCE>()?;
        let plain = self.cipher().decrypt(&(*nonce).into(), Payload { msg: bytes, aad: name });
        plain.map(Zeroizing::new).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new_from_slice(self.key.expose()).expect("a sealing key is of 32 bytes")
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

const NONCE: usize = 24;

#[cfg(test)]
mod tests {
    use super::SealingKey;

    #[test]
    fn a_key_is_read_in_both_forms_and_its_text_is_in_no_log() {
        let hex = "11".repeat(32);
        let base64 = "ERERERERERERERERERERERERERERERERERERERERERE=";

        assert_eq!(SealingKey::parse(&hex).unwrap().id(), SealingKey::parse(base64).unwrap().id());
        for text in ["", "11", &hex[1..], "whsec_ERERERERERERERERERERERERERERERERERERERERERE="] {
            assert!(SealingKey::parse(text).is_err(), "{text}");
        }
        assert!(!format!("{:?}", SealingKey::from_bytes([0x11; 32]).unwrap()).contains("17, 17"));
    }
}
