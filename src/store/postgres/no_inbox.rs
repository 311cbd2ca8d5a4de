//! The store without the feature `inbox`: nothing waits to be worked, and there are no tables for it.

use std::sync::Arc;

use super::{migration::Part, server::Server};

pub(super) const PARTS: &[&Part] = &[];

pub(super) struct Inbox;

impl Inbox {
    pub(super) fn new(_server: &Arc<Server>, _notifies: bool) -> Self {
        Self
    }

    pub(super) fn fits(&self) {}
}
