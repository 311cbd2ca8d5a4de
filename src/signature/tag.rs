use std::fmt;

use smallvec::SmallVec;
use subtle::{Choice, ConstantTimeEq};

/// The longest tag that is stored without an allocation: that of HMAC-SHA-512. RSA signatures are longer, and rare.
pub(crate) const LONGEST: usize = 64;

/// The longest signature of any algorithm: RSA with a key of 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;

/// A MAC, digest or signature, either computed or claimed by a request.
#[derive(Clone)]
pub(crate) struct Tag(SmallVec<[u8; LONGEST]>);

impl Tag {
    /// Creates a tag, or returns `None` if `bytes` are longer than any tag.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= LONGEST_SIGNATURE).then(|| Self(SmallVec::from_slice(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With a valid tag from a log, a delivery could be forged.
        f.write_str("Tag([redacted])")
    }
}

/// Returns `true` if any of `claimed` is `right`. The time depends on the number and the lengths of the tags, not on
/// their bytes, and not on which one matches.
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
        assert!(verify_any(&[Tag::new(&[8; 32]).unwrap(), right.clone()], &right));
        assert!(!verify_any(&[], &right));
        assert!(Tag::new(&[7; 1025]).is_none());
    }
}
