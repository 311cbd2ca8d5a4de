use std::sync::Arc;

use super::{core::Core, group::Group};
use crate::store::postgres::server::Server;

/// The state that the clones of a store share for the inbox.
pub(in crate::store::postgres) struct Inbox {
    pub(super) core: Arc<Core>,
    pub(super) group: Group,
}

impl Inbox {
    pub(in crate::store::postgres) fn new(server: &Arc<Server>, notifies: bool) -> Self {
        Self { core: Arc::new(Core::new(server, notifies)), group: Group::new(server.timeout) }
    }

    /// Notes that the tables fit.
    pub(in crate::store::postgres) fn fits(&self) {
        self.core.fits();
    }
}
