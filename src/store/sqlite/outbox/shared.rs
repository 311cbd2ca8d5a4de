use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    access::Access,
    group::{self, Write},
};
use crate::{
    error::StoreError,
    store::{mailbox::Mailbox, sqlite::setup::Setup},
};

/// The state that the clones of a store share for the outbox.
pub(in crate::store::sqlite) struct Outbox {
    pub(super) access: Arc<Access>,
    group: Mailbox<Write>,
}

impl Outbox {
    /// A call waits for its answer for at most `limit`.
    pub(in crate::store::sqlite) fn new(setup: &Setup, limit: Duration) -> Self {
        Self { access: Arc::new(Access::new(setup)), group: Mailbox::new("outbox of the SQLite store", limit) }
    }

    pub(in crate::store::sqlite) async fn close(&self) {
        self.group.close().await;
        self.access.close().await;
    }

    /// Writes something together with what others write at the same time. The write continues if the call is dropped.
    pub(super) async fn write<A>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<A, StoreError>>) -> Write,
    ) -> Result<A, StoreError> {
        self.group.ask(write, |writes| group::run(self.access.clone(), writes)).await
    }
}
