//! What the operator is told. No payload, no secret, no signature, and no text of the sender's unescaped.
//!
//! With the feature `tracing` these are events under the target `tower_webhooks`; without it they are nothing.

#[cfg(feature = "tracing")]
#[path = "events.rs"]
mod sink;
#[cfg(not(feature = "tracing"))]
#[path = "silent.rs"]
mod sink;

pub(crate) use self::sink::*;
