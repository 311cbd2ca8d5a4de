use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::fencing::token;

/// The key of a delivery in a store: a hash, so that it has a fixed size and no id can be chosen to collide with
/// another.
///
/// It is the SHA-256 of consumer, provider, tenant and delivery id, each preceded by its length, truncated to 16 bytes.
/// Because of the lengths `("a", "bc")` and `("ab", "c")` differ. If the store has an application name, it comes before
/// them.
///
/// ```
/// use tower_webhooks::idempotency::ClaimKey;
///
/// let key = ClaimKey::new("/hooks/stripe", "stripe", Some("acme"), b"evt_1");
/// assert_eq!(key, ClaimKey::new("/hooks/stripe", "stripe", Some("acme"), b"evt_1"));
/// assert_ne!(key, ClaimKey::new("/hooks/stripe", "stripe", Some("globex"), b"evt_1"));
/// assert_eq!(key, ClaimKey::from_bytes(key.to_bytes())); // as a store keeps it
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey([u8; 16]);

impl ClaimKey {
    /// Creates the key of a delivery, for a store without an application name.
    pub fn new(consumer: &str, provider: &str, tenant: Option<&str>, delivery_id: &[u8]) -> Self {
        Self::of_parts(None, consumer, provider, tenant, None, delivery_id)
    }

    /// Creates the key of a delivery, for a store of [`application`](super::IdempotencyStore::application).
    pub fn of_application(
        application: &str,
        consumer: &str,
        provider: &str,
        tenant: Option<&str>,
        delivery_id: &[u8],
    ) -> Self {
        Self::of_parts(Some(application), consumer, provider, tenant, None, delivery_id)
    }

    /// Makes the key of a delivery, or of something else about it: as if the id began with the byte `kind`.
    pub(crate) fn of_kind(
        application: Option<&str>,
        consumer: &str,
        provider: &str,
        tenant: Option<&str>,
        kind: u8,
        id: &[u8],
    ) -> Self {
        Self::of_parts(application, consumer, provider, tenant, Some(kind), id)
    }

    fn of_parts(
        application: Option<&str>,
        consumer: &str,
        provider: &str,
        tenant: Option<&str>,
        kind: Option<u8>,
        id: &[u8],
    ) -> Self {
        // Most fit, and one long piece is hashed much faster than ten short ones.
        let mut text = SmallVec::<[u8; 256]>::new();
        if let Some(application) = application {
            // Without an application the text begins with a length, whose first byte is 0.
            text.push(1);
            part(&mut text, None, application.as_bytes());
        }
        part(&mut text, None, consumer.as_bytes());
        part(&mut text, None, provider.as_bytes());
        // An absent tenant and an empty one are two things.
        text.push(u8::from(tenant.is_some()));
        part(&mut text, None, tenant.unwrap_or_default().as_bytes());
        part(&mut text, kind, id);
        Self(truncate(&Sha256::digest(&text)))
    }

    /// Restores a key from its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the key's bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimKey({:032x})", u128::from_be_bytes(self.0))
    }
}

token! {
    /// Identifies the owner of a claim. It is random and new for every claim, so that an owner whose lease has ended
    /// cannot change anything.
    ClaimToken
}

/// The claim of a body, held by the token of the delivery's own claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) key: ClaimKey,
    /// How long equal bytes count as a replay, from the end of the handler.
    pub(super) window: Duration,
}

/// A checksum that distinguishes two bodies under one delivery id, for a warning.
///
/// ```
/// use tower_webhooks::idempotency::Fingerprint;
///
/// assert_eq!(Fingerprint::of(b"{}"), Fingerprint::of(b"{}"));
/// assert_ne!(Fingerprint::of(b"{}"), Fingerprint::of(b"{ }"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Creates the fingerprint of a body. It is always the same for the same body, and much cheaper than a digest. It
    /// is good enough for a warning, but does not protect against an attacker.
    pub fn of(body: &[u8]) -> Self {
        /// Any odd number whose bits look random; this one is the golden ratio's.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |lane: u64, word: &[u8]| {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            (lane ^ u64::from_le_bytes(bytes)).wrapping_mul(FACTOR).rotate_left(29)
        };
        // Four lanes, since a processor multiplies several numbers at once.
        let mut lanes = [body.len() as u64, 1, 2, 3];
        let mut blocks = body.chunks_exact(32);
        for block in &mut blocks {
            for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
                *lane = mix(*lane, word);
            }
        }
        for (lane, word) in lanes.iter_mut().zip(blocks.remainder().chunks(8)) {
            *lane = mix(*lane, word);
        }
        Self(lanes.iter().fold(0, |sum, lane| mix(sum, &lane.to_le_bytes())).to_le_bytes())
    }

    /// The whole digest of a body, for a key that a sender must not be able to forge.
    pub(crate) fn digest(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    /// Restores a fingerprint from its bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the fingerprint's bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

fn part(text: &mut SmallVec<[u8; 256]>, kind: Option<u8>, bytes: &[u8]) {
    let length = bytes.len() as u64 + u64::from(kind.is_some());
    text.extend_from_slice(&length.to_be_bytes());
    text.extend(kind);
    text.extend_from_slice(bytes);
}

fn truncate<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut short = [0; N];
    short.copy_from_slice(&digest[..N]);
    short
}

#[cfg(test)]
mod tests {
    use super::{ClaimKey, Fingerprint};

    #[test]
    fn a_kind_is_the_first_byte_of_the_id() {
        let key = |kind| ClaimKey::of_kind(None, "a", "b", Some("c"), kind, b"d");

        assert_eq!(key(b'i'), ClaimKey::new("a", "b", Some("c"), b"id"));
        assert_ne!(key(b'i'), key(b'b'));
    }

    #[test]
    fn every_byte_of_a_body_counts_and_so_does_its_length() {
        let body: Vec<u8> = (0..=100).collect();
        let whole = Fingerprint::of(&body);

        for index in 0..body.len() {
            let mut other = body.clone();
            other[index] ^= 1;
            assert_ne!(Fingerprint::of(&other), whole, "byte {index}");
            assert_ne!(Fingerprint::of(&body[..index]), whole, "length {index}");
        }
        assert_ne!(Fingerprint::of(&[0; 7]), Fingerprint::of(&[0; 8]));
        assert_eq!(Fingerprint::of(&body), whole);
    }

    #[test]
    fn a_separator_in_a_part_does_not_collide() {
        let keys = [
            ClaimKey::new("a", "bc", None, b"d"),
            ClaimKey::new("ab", "c", None, b"d"),
            ClaimKey::new("a", "b", Some("c"), b"d"),
            ClaimKey::new("a", "b", None, b"cd"),
            ClaimKey::new("a", "bc", Some(""), b"d"),
            ClaimKey::new("a:bc", "", None, b"d"),
            ClaimKey::of_application("a", "bc", "d", None, b"e"),
            ClaimKey::of_application("", "a", "bc", None, b"d"),
            ClaimKey::of_application("a", "", "bc", None, b"d"),
            ClaimKey::of_application("ab", "c", "d", None, b"e"),
        ];

        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "key {index} collides");
        }
    }
}
