use std::time::Duration;

/// What there is of an inbox.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)] // Nobody reads it without the feature `metrics`.
pub(crate) struct InboxDepth {
    pub(crate) pending: u64,
    pub(crate) working: u64,
    pub(crate) dead: u64,
    pub(crate) oldest: Duration,
}
