//! What is known of algorithms with public keys in a build without them too.

/// Which hash a request says that it was signed with, where a scheme has two.
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
    /// ECDSA over P-521 with SHA-512; a signature is in DER.
    EcdsaP521,
    /// The same, but a signature is its two numbers of 66 bytes, as in tokens.
    EcdsaP521Fixed,
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

/// No more public keys than this verify a request, and no more of its signatures are looked at: each pair of the two costs a
/// verification, where a MAC is made once for all signatures. A rotation needs two.
pub(crate) const MOST_PUBLIC_KEYS: usize = 4;
