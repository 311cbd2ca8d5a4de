use std::fmt;

use sha2::{Digest, Sha256};

/// What a delivery is known by in a store: a hash, so that it has one size and cannot be forged by a clever id.
///
/// It is the SHA-256 of consumer, provider, tenant and delivery id, each with its length before it, cut to 16 bytes. The
/// lengths keep `("a", "bc")` and `("ab", "c")` apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey([u8; 16]);

impl ClaimKey {
    /// Makes the key of a delivery.
    pub fn new(consumer: &str, provider: &str, tenant: Option<&str>, delivery_id: &[u8]) -> Self {
        let mut hash = Sha256::new();
        part(&mut hash, consumer.as_bytes());
        part(&mut hash, provider.as_bytes());
        // An absent tenant and an empty one are two things.
        hash.update([u8::from(tenant.is_some())]);
        part(&mut hash, tenant.unwrap_or_default().as_bytes());
        part(&mut hash, delivery_id);
        Self(truncate(&hash.finalize()))
    }

    /// Restores a key from its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Tells the key's bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Who holds a claim: random, new for every claim, so that an owner whose lease has passed changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken([u8; 16]);

impl ClaimToken {
    /// Draws a new token from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Restores a token from its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Tells the token's bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimToken({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What tells two bodies under one delivery id apart: the first 8 bytes of the SHA-256 of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Makes the fingerprint of a body.
    pub fn of(body: &[u8]) -> Self {
        Self(truncate(&Sha256::digest(body)))
    }

    /// The whole digest of a body, for a key that a sender must not be able to forge.
    pub(super) fn digest(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    /// Restores a fingerprint from its bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Tells the fingerprint's bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn truncate<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut short = [0; N];
    short.copy_from_slice(&digest[..N]);
    short
}

#[cfg(test)]
mod tests {
    use super::ClaimKey;

    #[test]
    fn a_separator_in_a_part_does_not_collide() {
        let keys = [
            ClaimKey::new("a", "bc", None, b"d"),
            ClaimKey::new("ab", "c", None, b"d"),
            ClaimKey::new("a", "b", Some("c"), b"d"),
            ClaimKey::new("a", "b", None, b"cd"),
            ClaimKey::new("a", "bc", Some(""), b"d"),
            ClaimKey::new("a:bc", "", None, b"d"),
        ];

        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "key {index} collides");
        }
    }
}
