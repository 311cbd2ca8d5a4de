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

/// How an attempt ended.
#[cfg(feature = "send")]
#[allow(dead_code)] // Nobody reads it without the feature `tracing`.
pub(crate) struct Attempted<'a> {
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) refused: bool,
    pub(crate) cause: Option<&'a (dyn std::error::Error + 'static)>,
}
