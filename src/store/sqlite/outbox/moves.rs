//! What waits for an endpoint that was disabled, enabled or deleted is moved to its new state in steps, so that nobody
//! waits for the write lock for long. A table records that there is more to move, and lists show each delivery in its
//! later state. The call that switched the endpoint continues for a while, and `purge` moves the rest.

use std::{collections::HashMap, time::Duration};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::session::{Session, begin, query};
use crate::{
    clock::Millis,
    error::StoreError,
    send::{DeliveryState, EndpointId, policy::moved_from},
    store::{
        columns::{corrupt, number, state},
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "move the waiting deliveries of an endpoint";

/// Begins to move the waiting deliveries of an endpoint, inside the transaction that switches it, with the first step.
/// Returns whether there is more.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    prefix: &str,
    (endpoint, tenant): (&str, &str),
    target: DeliveryState,
    now: Millis,
) -> Result<bool, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let more = step(connection, prefix, (endpoint, target), now, STEP).await? >= STEP;
    let note = match more {
        true => query(
            prefix,
            "INSERT INTO {}outbox_moves (endpoint, tenant, target) VALUES (?1, ?2, ?3) \
             ON CONFLICT (endpoint) DO UPDATE SET target = excluded.target",
        )
        .bind(endpoint.to_owned())
        .bind(tenant.to_owned())
        .bind(number(target)),
        false => query(prefix, REMOVE).bind(endpoint.to_owned()),
    };
    note.execute(connection).await.map_err(failed)?;
    Ok(more)
}

const REMOVE: &str = "DELETE FROM {}outbox_moves WHERE endpoint = ?";

/// Continues with an endpoint, or with any, and takes the write lock for it. Returns how many it moved; fewer than
/// asked for means that nothing more is to be moved.
pub(super) async fn go_on(
    session: &mut Session<'_>,
    endpoint: Option<EndpointId>,
    limit: i64,
) -> Result<i64, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let (now, prefix) = (session.now(), session.prefix);
    let which = match endpoint {
        Some(id) => {
            query(prefix, "SELECT endpoint, target FROM {}outbox_moves WHERE endpoint = ?").bind(id.to_string())
        }
        None => query(prefix, "SELECT endpoint, target FROM {}outbox_moves ORDER BY endpoint LIMIT 1"),
    };
    // Usually there is nothing, so this look takes no lock.
    let Some(row) = which.fetch_optional(&mut *session.connection).await.map_err(failed)? else { return Ok(0) };
    let endpoint: String = row.try_get(0).map_err(failed)?;

    let mut tx = begin!(session, CONTEXT);
    let row = query(prefix, "SELECT target FROM {}outbox_moves WHERE endpoint = ?")
        .bind(endpoint.clone())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
    // Another call has just done the rest.
    let Some(row) = row else { return Ok(0) };
    let moved = step(&mut tx, prefix, (&endpoint, target(row.try_get(0).map_err(failed)?)?), now, limit).await?;
    if moved < limit {
        query(prefix, REMOVE).bind(endpoint).execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    // There may be other endpoints, which the next call finds.
    Ok(moved.max(1))
}

/// The endpoints of a tenant whose deliveries are being moved, and where to. Usually there are none.
pub(super) async fn of_tenant(
    connection: &mut SqliteConnection,
    prefix: &str,
    tenant: &str,
) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    let rows = query(prefix, "SELECT endpoint, target FROM {}outbox_moves WHERE tenant = ?").bind(tenant.to_owned());
    read(&rows.fetch_all(connection).await.map_err(|error| store_error(CONTEXT, error))?)
}

/// The same of all tenants.
pub(super) async fn of_all(
    connection: &mut SqliteConnection,
    prefix: &str,
) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    let rows = query(prefix, "SELECT endpoint, target FROM {}outbox_moves");
    read(&rows.fetch_all(connection).await.map_err(|error| store_error(CONTEXT, error))?)
}

fn read(rows: &[SqliteRow]) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let mut moves = HashMap::new();
    for row in rows {
        let (id, number): (&str, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        // An entry that cannot be read does not affect the others.
        if let (Ok(id), Some(target)) = (id.parse(), state(number)) {
            moves.insert(id, target);
        }
    }
    Ok(moves)
}

/// The state to which an endpoint's deliveries are being moved, if they are.
pub(super) async fn of_endpoint(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: EndpointId,
) -> Result<Option<DeliveryState>, StoreError> {
    let row = query(prefix, "SELECT target FROM {}outbox_moves WHERE endpoint = ?")
        .bind(endpoint.to_string())
        .fetch_optional(connection)
        .await;
    let number = row.and_then(|row| row.map(|row| row.try_get(0)).transpose());
    number.map_err(|error| store_error(CONTEXT, error))?.map(target).transpose()
}

pub(super) fn target(number: i64) -> Result<DeliveryState, StoreError> {
    let unknown = || store_error(CONTEXT, corrupt("unknown state of deliveries that are moved"));
    state(number).ok_or_else(unknown)
}

async fn step(
    connection: &mut SqliteConnection,
    prefix: &str,
    (endpoint, target): (&str, DeliveryState),
    now: Millis,
    limit: i64,
) -> Result<i64, StoreError> {
    let mut moved = 0;
    for from in moved_from(target) {
        let done = query(prefix, STEPS)
            .bind(number(target))
            .bind(now)
            .bind(endpoint.to_owned())
            .bind(number(*from))
            .bind(limit - moved)
            .execute(&mut *connection)
            .await
            .map_err(|error| store_error(CONTEXT, error))?;
        moved += i64::try_from(done.rows_affected()).unwrap_or(i64::MAX);
    }
    Ok(moved)
}

/// The oldest first. What goes in order is due in the order in which it was dispatched, however many steps it takes.
const STEPS: &str = "UPDATE {}outbox_deliveries SET state = ?1, due_at = CASE \
     WHEN ?1 = 0 AND (SELECT e.in_order FROM {}outbox_endpoints e WHERE e.id = ?3) <> 0 THEN created_at ELSE ?2 END \
     WHERE seq IN (\
     SELECT seq FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_endpoint \
     WHERE endpoint = ?3 AND state = ?4 ORDER BY seq LIMIT ?5)";

/// How many deliveries are moved under one hold of the write lock.
pub(super) const STEP: i64 = 1000;

/// The shortest time for which the lock is left to others between two steps. It is left for at least as long as the
/// step took.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::STEPS;
    use crate::store::sqlite::outbox::schema::tests::plans;

    #[tokio::test]
    async fn no_step_reads_more_than_it_moves() {
        for plan in plans(&[STEPS]).await {
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{plan:?}");
        }
    }
}
