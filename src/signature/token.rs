use sha2::{Digest, Sha256};

use super::tag::Tag;

/// The tag that a shared token is compared by: its digest, so that neither its bytes nor its length show in the time.
pub(crate) fn token_tag(token: &[u8]) -> Tag {
    Tag::new(&Sha256::digest(token)).expect("a SHA-256 digest is shorter than the longest tag")
}
