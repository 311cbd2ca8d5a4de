//! What waits for an endpoint that was disabled, enabled or deleted is moved to its new state in steps. A table records
//! that there is more to move, and lists show each delivery in its later state. The call that switched the endpoint
//! continues until its time has ended, and `purge` moves the rest.

use std::collections::HashMap;

use sqlx::{Row, postgres::PgRow};
use tokio::time::{Instant, timeout_at};

use super::core::Core;
use crate::{
    clock::Millis,
    error::StoreError,
    send::{DeliveryState, EndpointId, policy::moved_from},
    store::{
        columns::{Columns, corrupt, number, state},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

const CONTEXT: &str = "move the waiting deliveries of an endpoint";

/// Begins to move the waiting deliveries of an endpoint, inside the transaction that switches it, with the first step.
/// Returns how many that were; as many as a step has means that there may be more.
pub(super) async fn start(
    outbox: &Core,
    tx: &mut Tx,
    (endpoint, tenant): (&str, &str),
    target: DeliveryState,
    now: Millis,
) -> Result<i64, sqlx::Error> {
    // This comes before the deliveries are locked: every step of a move locks in this order.
    let values = [Value::from(endpoint), Value::from(tenant), Value::from(number(target))];
    tx.all(&outbox.statements.move_begin, &values).await?;
    step(outbox, tx, (endpoint, target), now, STEP).await
}

/// Continues with an endpoint until nothing is left to move or the time has ended. Then, or after a failure, `purge`
/// continues.
pub(super) async fn finish(outbox: &Core, deadline: Instant, endpoint: EndpointId, mut moved: i64) {
    let id = endpoint.to_string();
    while moved >= STEP {
        match go_on(outbox, deadline, Some(&id), STEP).await {
            Ok((more, _)) => moved = more,
            Err(_) => break,
        }
    }
}

/// Continues with an endpoint, or with any that nobody else is moving, in a transaction of its own. Returns how many it
/// moved, and whether they are due now.
pub(super) async fn go_on(
    outbox: &Core,
    deadline: Instant,
    endpoint: Option<&str>,
    limit: i64,
) -> Result<(i64, bool), StoreError> {
    transaction!(outbox, deadline, CONTEXT, tx => go_on_in(outbox, &mut tx, endpoint, limit))
}

async fn go_on_in(outbox: &Core, tx: &mut Tx, endpoint: Option<&str>, limit: i64) -> Result<(i64, bool), sqlx::Error> {
    let values = [outbox.offset(), Value::Text(endpoint)];
    let Some(row) = tx.first(&outbox.statements.move_on, &values).await? else { return Ok((0, false)) };
    let endpoint: String = row.try_get("endpoint")?;
    let target = target(row.int("target")?)?;
    let moved = step(outbox, tx, (&endpoint, target), row.try_get("now")?, limit).await?;
    // Finding out that it is done counts as a change too.
    Ok((moved.max(1), target == DeliveryState::Pending && moved > 0))
}

/// Moves one step, and removes the endpoint's entry if nothing is left.
async fn step(
    outbox: &Core,
    tx: &mut Tx,
    (endpoint, target): (&str, DeliveryState),
    now: Millis,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    let mut moved = 0;
    for from in moved_from(target) {
        let values = [
            Value::from(now),
            Value::from(endpoint),
            Value::from(number(*from)),
            Value::from(number(target)),
            Value::from(limit - moved),
        ];
        let row = tx.first(&outbox.statements.move_waiting, &values).await?;
        moved += row.ok_or(sqlx::Error::RowNotFound)?.try_get::<i64, _>("moved")?;
    }
    if moved < limit {
        tx.all(&outbox.statements.move_end, &[Value::from(endpoint)]).await?;
    }
    Ok(moved)
}

/// The endpoints of a tenant whose deliveries are being moved, and where to. Usually there are none.
pub(super) async fn of_tenant(outbox: &Core, tenant: &str) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    moving(&outbox.ask(CONTEXT, &outbox.statements.moves, &[Value::from(tenant)]).await?)
}

/// The same of all tenants.
pub(super) async fn of_all(outbox: &Core) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    moving(&outbox.ask(CONTEXT, &outbox.statements.all_moves, &[]).await?)
}

fn moving(rows: &[PgRow]) -> Result<HashMap<EndpointId, DeliveryState>, StoreError> {
    let read = |row: &PgRow| Ok((row.try_get::<String, _>("endpoint")?, row.int("target")?));
    let mut moves = HashMap::new();
    for row in rows {
        let (id, number) = read(row).map_err(|error| store_error(error, CONTEXT))?;
        // An entry that cannot be read does not affect the others.
        if let (Ok(id), Some(target)) = (id.parse(), state(number)) {
            moves.insert(id, target);
        }
    }
    Ok(moves)
}

pub(super) fn target(number: i64) -> Result<DeliveryState, sqlx::Error> {
    state(number).ok_or_else(|| corrupt("unknown state of deliveries that are moved"))
}

/// How many deliveries are moved in one transaction.
pub(super) const STEP: i64 = 10_000;
