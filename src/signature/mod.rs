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
mod public;
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
    public::{ED25519_LENGTH, Hashed, MOST_PUBLIC_KEYS, PublicAlgorithm},
    tag::{Tag, verify_any},
    token::token_tag,
};
