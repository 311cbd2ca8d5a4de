use std::{fmt, time::Duration};

/// The facts about an attempt that are known before it is made.
#[allow(dead_code)] // Only read with the feature `tracing`.
pub(crate) struct AttemptHead<'a> {
    pub(crate) message: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) host: &'a str,
    /// From 1.
    pub(crate) attempt: u32,
    /// The delivery and the endpoint, in an outbox.
    pub(crate) delivery: Option<&'a dyn fmt::Display>,
    pub(crate) endpoint: Option<&'a dyn fmt::Display>,
}

/// How an attempt ended.
#[derive(Clone, Copy)]
#[allow(dead_code)] // As above.
pub(crate) struct AttemptEnd<'a> {
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) refused: bool,
    /// Whether the egress proxy refused the connection or failed.
    pub(crate) kept_in: bool,
    pub(crate) cause: Option<&'a (dyn std::error::Error + 'static)>,
    pub(crate) duration: Duration,
}
