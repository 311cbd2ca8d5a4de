use std::sync::atomic::AtomicI64;

use tokio::sync::Mutex;

use super::{schema::OUTBOX, statements::Statements};
use crate::store::sqlite::{
    connection::{Connections, Durability},
    setup::Setup,
};

/// The outbox's own connections, until it is closed, and what its statements need to know.
pub(super) struct Access {
    pub(super) setup: Setup,
    pub(super) statements: Statements,
    /// When something was last leased, by the clock.
    pub(super) leased_at: AtomicI64,
    pub(super) writing: Mutex<Option<Connections>>,
    /// For calls that only read.
    pub(super) reading: Mutex<Option<Connections>>,
}

impl Access {
    pub(super) fn new(setup: &Setup) -> Self {
        let connections = |durability| Mutex::new(Some(Connections::new(setup, &OUTBOX, durability)));
        Self {
            setup: setup.clone(),
            statements: Statements::new(setup.prefix.as_str()),
            leased_at: AtomicI64::new(i64::MAX),
            writing: connections(Durability::PowerCut),
            reading: connections(Durability::Process),
        }
    }

    pub(super) async fn close(&self) {
        for connections in [&self.writing, &self.reading] {
            if let Some(connections) = connections.lock().await.take() {
                connections.close().await;
            }
        }
    }
}
