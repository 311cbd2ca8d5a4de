//! The client that delivers: it goes where it may, and takes no more than it wants.
//!
//! What an attempt does, in this order, within one deadline:
//! 1. The URL is checked against the policy again: it may have been stored when more was allowed.
//! 2. The name is resolved, once. An IP address in a URL is not, and is checked like any other.
//! 3. Every address is made canonical and checked. Those that are not allowed are dropped; if none is left, the attempt is
//!    refused.
//! 4. One of those that were checked is dialled, or an idle connection to one of them is used again. Where the operator has
//!    named an egress proxy, it is asked for a tunnel to that address, and for nothing else.
//! 5. TLS, under the name in the URL, with the client's certificate where it has one and is asked for it.
//! 6. The request. No redirect is followed, no proxy of the environment is asked, no encoding is invited.
//! 7. The answer: a head of at most 100 headers in 16 KiB, and 64 KiB of the body; on the wire 256 KiB, with all that these
//!    are wrapped in.

pub(crate) mod builder;
mod exchange;
pub(crate) mod guarded;
mod inner;
mod redact;
mod retry_after;
