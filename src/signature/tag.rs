use std::fmt;

use subtle::{Choice, ConstantTimeEq};

/// The longest tag of any algorithm: HMAC-SHA-512's.
pub(crate) const LONGEST: usize = 64;

/// A MAC or digest, right or claimed.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Tag {
    /// Holds `bytes`; `None` when they are longer than any tag.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut tag = Self { bytes: [0; LONGEST], length: bytes.len() };
        tag.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(tag)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A right tag in a log is a forged delivery in the making.
        f.write_str("Tag([redacted])")
    }
}

/// Tells whether any of `claimed` is `right`. The time depends on the number and the lengths of the tags, not on their
/// bytes, and not on which one matches.
pub(crate) fn verify_any(claimed: &[Tag], right: &Tag) -> bool {
    let found =
        claimed.iter().fold(Choice::from(0), |found, claimed| found | claimed.as_bytes().ct_eq(right.as_bytes()));
    found.into()
}

#[cfg(test)]
mod tests {
    use super::{Tag, verify_any};

    #[test]
    fn a_tag_that_is_a_beginning_does_not_match() {
        let right = Tag::new(&[7; 32]).unwrap();

        for length in (0..32).chain([33, 64]) {
            assert!(!verify_any(&[Tag::new(&vec![7; length]).unwrap()], &right), "{length} bytes");
        }
        assert!(verify_any(&[Tag::new(&[8; 32]).unwrap(), right], &right));
        assert!(!verify_any(&[], &right));
        assert!(Tag::new(&[7; 65]).is_none());
    }
}
