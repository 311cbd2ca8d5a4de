use std::{sync::Arc, time::Duration};

use super::{
    access::Access,
    group::{self, Answer, Call, Write},
};
use crate::{
    error::StoreError,
    store::{mailbox::Mailbox, sqlite::setup::Setup},
};

/// The state that the clones of a store share for the inbox.
pub(in crate::store::sqlite) struct Inbox {
    pub(super) access: Arc<Access>,
    group: Mailbox<Write>,
}

impl Inbox {
    /// A call waits for its answer for `limit`, at the very most.
    pub(in crate::store::sqlite) fn new(setup: &Setup, limit: Duration) -> Self {
        Self { access: Arc::new(Access::new(setup)), group: Mailbox::new("inbox of the SQLite store", limit) }
    }

    pub(in crate::store::sqlite) async fn close(&self) {
        self.group.close().await;
        self.access.close().await;
    }

    /// Has something written with what others write at the same time.
    pub(super) async fn write(&self, call: Call) -> Result<Answer, StoreError> {
        let start = |writes| group::run(Arc::clone(&self.access), writes);
        self.group.ask(|reply| Write { call, reply }, start).await
    }
}
