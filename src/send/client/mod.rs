//! The client that delivers: it connects only where the policy allows, and limits what it reads.
//!
//! What an attempt does, in this order, within one deadline:
//! 1. The URL is checked against the policy again: it may have been stored when more was allowed.
//! 2. The name is resolved once. An IP address in a URL is not resolved, and is checked like any other.
//! 3. Every address is made canonical and checked. Those that are not allowed are dropped. If no address is left, the
//!    attempt ends.
//! 4. One of those that were checked is dialled, or an idle connection to one of them is used again. If the operator has set
//!    an egress proxy, it is asked for a tunnel to that address, and for nothing else.
//! 5. TLS is set up for the name in the URL, with the client's certificate if it has one and the receiver asks for it.
//! 6. The request is sent. Redirects are not followed, the environment's proxies are not used, and no content encoding is accepted.
//! 7. The response is read: a head of at most 100 headers in 16 KiB, and 64 KiB of the body; on the wire at most 256 KiB, with
//!    everything that surrounds them.

pub(crate) mod builder;
mod exchange;
pub(crate) mod guarded;
mod inner;
mod redact;
mod retry_after;
