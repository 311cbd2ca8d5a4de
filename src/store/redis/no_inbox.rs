//! The store without the feature `inbox`: nothing waits to be worked.

use std::sync::Arc;

use super::server::Server;

#[derive(Debug)]
pub(super) struct Inbox;

impl Inbox {
    pub(super) fn new(_server: &Arc<Server>, _prefix: &str) -> Self {
        Self
    }
}
