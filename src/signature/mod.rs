//! Bytes in, yes or no out, in constant time. Knows no HTTP, no clock and no network.
//!
//! Rules:
//! 1. Tags are compared through [`verify_any`] and nothing else.
//! 2. A tag of another length than the algorithm's is no tag; it never matches by its beginning.
//! 3. Key state is made once and cloned for every message.

mod digest;
mod encoding;
mod hmac;
mod tag;
mod token;

pub(crate) use self::{
    digest::{HashAlgorithm, PlainHash},
    encoding::Encoding,
    hmac::{MacAlgorithm, MacState},
    tag::{Tag, verify_any},
    token::token_tag,
};
