//! What the routes of sending share.

use std::{collections::HashSet, sync::Mutex};

use crate::{
    redaction::Redaction,
    send::{Dispatcher, EndpointId},
};

/// What every route of sending needs.
pub(super) struct Shared {
    pub(super) webhooks: Dispatcher,
    /// The endpoints of which what they missed is being recovered in this process.
    pub(super) recovering: Mutex<HashSet<EndpointId>>,
    pub(super) if_match: IfMatch,
    pub(super) redaction: Redaction,
}

/// Whether an update has to name what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMatch {
    Optional,
    Required,
}
