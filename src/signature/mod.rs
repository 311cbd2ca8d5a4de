//! Signatures and their comparison in constant time. This module does not depend on HTTP, a clock or a network.
//!
//! Rules:
//! 1. Tags are only compared by [`verify_any`]. Signatures with public keys are not tags; [`PublicKey`] verifies them,
//!    and nothing about them is secret.
//! 2. A tag must have the length of its algorithm; a part of it never matches.
//! 3. The state of a key is created once and cloned for every message.

#[cfg(feature = "asymmetric")]
mod asymmetric;
#[cfg(not(feature = "asymmetric"))]
#[path = "no_asymmetric.rs"]
mod asymmetric;
mod crc32;
mod digest;
mod encoding;
mod hmac;
mod tag;
mod token;

#[cfg(any(feature = "send", feature = "testing"))]
pub(crate) use self::asymmetric::PrivateKey;
pub(crate) use self::{
    asymmetric::{PublicKey, public_key_info},
    crc32::crc32,
    digest::{HashAlgorithm, PlainHash},
    encoding::Encoding,
    hmac::{MacAlgorithm, MacState},
    tag::{Tag, verify_any},
    token::token_tag,
};

/// The hash that a request names, for a scheme with two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashed {
    /// By the algorithm of the scheme.
    AsDeclared,
    /// By SHA-1, which the scheme also takes.
    BySha1,
}

/// The algorithm of a scheme with public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "asymmetric"), allow(dead_code))]
pub(crate) enum PublicAlgorithm {
    /// ECDSA over P-256 with SHA-256 (FIPS 186-5); a signature is in DER (RFC 3279, section 2.2.3).
    EcdsaP256,
    /// The same, but a signature is its two numbers of 32 bytes, as in tokens (RFC 7518, section 3.4).
    EcdsaP256Fixed,
    Ed25519,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes (RFC 8017, section 8.1).
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, or with SHA-1 where the request says so.
    RsaSha256OrSha1,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-1, for senders that have nothing better.
    RsaSha1,
}

/// The length of an Ed25519 signature in bytes (RFC 8032, section 5.1.6).
pub(crate) const ED25519_LENGTH: usize = 64;
