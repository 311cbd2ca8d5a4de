use tokio::sync::{mpsc, oneshot};

use super::rows::{self, Found};
use crate::{
    error::StoreError,
    idempotency::{ClaimKey, record::Record},
    store::sqlite::{
        connection::Connections,
        error::{Patience, store_error},
        migration::{MAX_ROWS, Sql},
        store::Setup,
    },
};

/// Somebody who wants to know the record of a key.
pub(in crate::store::sqlite) struct Lookup {
    pub(in crate::store::sqlite) key: ClaimKey,
    pub(in crate::store::sqlite) reply: oneshot::Sender<Result<Option<Record>, StoreError>>,
}

/// Answers lookups, all that wait in one statement. It takes no lock, so a writer does not hold it up.
pub(in crate::store::sqlite) async fn run(setup: Setup, mut lookups: mpsc::Receiver<Lookup>) {
    let mut connections = Connections::new(&setup);
    let mut waiting = Vec::with_capacity(MAX_ROWS);
    while lookups.recv_many(&mut waiting, MAX_ROWS).await > 0 {
        // Others are about to ask too: one statement for all of them costs little more than one.
        tokio::task::yield_now().await;
        while waiting.len() < MAX_ROWS
            && let Ok(lookup) = lookups.try_recv()
        {
            waiting.push(lookup);
        }

        let keys: Vec<_> = waiting.iter().map(|lookup| lookup.key).collect();
        let found = look_up(&mut connections, &setup.sql, &keys, &Patience::new(setup.patience)).await;
        if let Err(error) = &found {
            connections.renew_after(error);
        }
        for Lookup { key, reply } in waiting.drain(..) {
            let answer = match &found {
                Ok(found) => found.get(&key).cloned().transpose(),
                Err(error) => Err(error.clone()),
            };
            // Who was dropped meanwhile does not want to know.
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
    let mut connection = connections.lend(sql).await?;
    loop {
        match rows::select(&mut connection, sql, keys).await {
            Ok(found) => return Ok(found),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => return Err(store_error("look up a delivery", error)),
        }
    }
}
