use tokio::sync::Mutex;

use super::schema::INBOX;
use crate::store::sqlite::{
    connection::{Connections, Durability},
    setup::Setup,
};

/// The inbox's own connections, until it is closed, and what its statements need to know.
pub(super) struct Access {
    pub(super) setup: Setup,
    pub(super) writing: Mutex<Option<Connections>>,
    /// For what only reads.
    pub(super) reading: Mutex<Option<Connections>>,
}

impl Access {
    pub(super) fn new(setup: &Setup) -> Self {
        let connections = |durability| Mutex::new(Some(Connections::new(setup, &INBOX, durability)));
        Self {
            setup: setup.clone(),
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
