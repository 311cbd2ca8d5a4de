use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    rows::{self, Found},
    schema::CLAIMS,
    sql::{MAX_ROWS, Sql},
};
use crate::{
    error::StoreError,
    idempotency::{ClaimKey, record::Record},
    store::sqlite::{
        connection::{Connections, Durability},
        error::{Patience, store_error},
        setup::Setup,
    },
};

/// A request for the record of a key.
pub(super) struct Lookup {
    pub(super) key: ClaimKey,
    pub(super) reply: oneshot::Sender<Result<Option<Record>, StoreError>>,
}

/// Answers lookups, everything that waits in one statement. It takes no lock, so a writer does not delay it.
pub(super) async fn run(setup: Setup, sql: Arc<Sql>, mut lookups: mpsc::Receiver<Lookup>) {
    let mut connections = Connections::new(&setup, &CLAIMS, Durability::Process);
    let mut waiting = Vec::with_capacity(MAX_ROWS);
    while lookups.recv_many(&mut waiting, MAX_ROWS).await > 0 {
        // Other lookups may arrive now: one statement for all of them costs little more than one.
        tokio::task::yield_now().await;
        while waiting.len() < MAX_ROWS
            && let Ok(lookup) = lookups.try_recv()
        {
            waiting.push(lookup);
        }

        let keys: Vec<_> = waiting.iter().map(|lookup| lookup.key).collect();
        let found = look_up(&mut connections, &sql, &keys, &Patience::new(setup.patience)).await;
        if let Err(error) = &found {
            connections.renew_after(error);
        }
        for Lookup { key, reply } in waiting.drain(..) {
            let answer = match &found {
                Ok(found) => found.get(&key).cloned().transpose(),
                Err(error) => Err(error.clone()),
            };
            // Sending fails if the caller was dropped in the meantime.
            let _ = reply.send(answer);
        }
    }
    connections.close().await;
}

async fn look_up(
    connections: &mut Connections,
    sql: &Sql,
    keys: &[ClaimKey],
    patience: &Patience,
) -> Result<Found, StoreError> {
    let mut connection = connections.lend().await?;
    loop {
        match rows::select(&mut connection, sql, keys).await {
            Ok(found) => return Ok(found),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => return Err(store_error("look up a delivery", error)),
        }
    }
}
