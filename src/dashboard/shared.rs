//! What the pages share.

use crate::{
    api::{Authorize, inboxes::Inboxes},
    redaction::Redaction,
    send::Dispatcher,
};

/// What stands in front of every page.
pub(super) struct Gate {
    pub(super) authorize: Box<dyn Authorize>,
    pub(super) offers: Offers,
}

/// Which pages there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offers {
    pub(super) sending: bool,
    pub(super) inbox: bool,
}

/// What the pages of sending share.
pub(super) struct Shared {
    pub(super) webhooks: Dispatcher,
    pub(super) redaction: Redaction,
}

/// What the pages of the inbox share.
pub(super) struct Received {
    pub(super) inboxes: Inboxes,
    pub(super) redaction: Redaction,
}

/// What the overview is about.
pub(super) struct Everything {
    pub(super) webhooks: Option<Dispatcher>,
    pub(super) inboxes: Inboxes,
    pub(super) redaction: Redaction,
}
