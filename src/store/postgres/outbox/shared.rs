use std::sync::Arc;

use super::{core::Core, group::Group};
use crate::store::postgres::server::Server;

/// The state that the clones of a store share for the outbox.
pub(in crate::store::postgres) struct Outbox {
    pub(super) core: Arc<Core>,
    pub(super) group: Group,
}

impl Outbox {
    pub(in crate::store::postgres) fn new(server: &Arc<Server>, notifies: bool) -> Self {
        let core = Arc::new(Core::new(server, notifies));
        Self { group: Group::new(&core), core }
    }

    /// Notes that the tables fit.
    pub(in crate::store::postgres) fn fits(&self) {
        self.core.fits();
    }
}
