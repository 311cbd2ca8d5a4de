use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::tag::Tag;

/// The plain hash that a scheme uses over a text with the secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashAlgorithm {
    Sha1,
    Sha256,
}

impl HashAlgorithm {
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// The state of a plain hash.
#[derive(Clone)]
pub(crate) enum PlainHash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl PlainHash {
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            HashAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Tag {
        const FITS: &str = "no digest is longer than the longest tag";
        match self {
            Self::Sha1(hash) => Tag::new(&hash.finalize()).expect(FITS),
            Self::Sha256(hash) => Tag::new(&hash.finalize()).expect(FITS),
        }
    }
}
