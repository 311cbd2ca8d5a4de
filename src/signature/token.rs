use sha2::{Digest, Sha256};

use super::tag::Tag;

/// Returns the tag by which a shared token is compared: its digest, so that the time reveals neither its bytes nor its
/// length.
pub(crate) fn token_tag(token: &[u8]) -> Tag {
    Tag::new(&Sha256::digest(token)).expect("a SHA-256 digest is shorter than the longest tag")
}
