use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{core::Core, endpoints, moves};
use crate::{
    clock::from_time,
    error::StoreError,
    observe,
    send::{
        AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, Recover, Recovered, SentDeliveryId,
        policy::{Missed, missed, show, waits_as},
    },
    store::{
        columns::{self, Columns, Listing, looked, number, seq},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

pub(super) async fn get(outbox: &Core, id: SentDeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
    const CONTEXT: &str = "read a delivery";

    let rows = outbox.ask(CONTEXT, &outbox.statements.delivery, &[Value::from(seq(id))]).await?;
    let shown = |row: &PgRow| {
        let mut record = columns::delivery(row)?;
        show(&mut record, row.optional_int("target")?.map(moves::target).transpose()?);
        Ok(record)
    };
    rows.first().map(shown).transpose().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    outbox: &Core,
    tenant: Arc<str>,
    wanted: DeliveryQuery,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let listing = Listing::new(moves::of_tenant(outbox, &tenant).await?, &wanted);
    let mut records = page(outbox, &tenant, &wanted, &listing.leaving, limit).await?;
    for coming in &listing.coming {
        records.extend(page(outbox, &tenant, coming, &[], limit).await?);
    }
    Ok(listing.page(records, limit))
}

/// What is moved to another state, in steps, was not given up, so nothing of the wanted state is elsewhere.
pub(super) async fn list_all(
    outbox: &Core,
    state: Option<DeliveryState>,
    before: Option<SentDeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    const CONTEXT: &str = "list deliveries of all tenants";

    let moves = moves::of_all(outbox).await?;
    let statement = outbox.statements.all_deliveries(state);
    let mut before = before.map_or(i64::MAX, seq);
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let rows = outbox.ask(CONTEXT, statement, &[Value::from(before), Value::from(left)]).await?;
        for row in &rows {
            before = row.try_get("seq").map_err(|error| store_error(error, CONTEXT))?;
            match columns::delivery(row) {
                Ok(mut record) => {
                    let target = moves.get(&record.endpoint).copied();
                    show(&mut record, target);
                    records.push(record);
                }
                Err(cause) => observe::unreadable("delivery", &before, &cause),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

/// Reads a page of those that are in the wanted state in the table, without some endpoints.
async fn page(
    outbox: &Core,
    tenant: &str,
    wanted: &DeliveryQuery,
    without: &[String],
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    const CONTEXT: &str = "list deliveries";

    let endpoint = wanted.endpoint.map(|id| id.to_string());
    let left_out: Vec<_> = without.iter().map(|id| Some(&**id)).collect();
    let statement = &outbox.statements.deliveries(wanted, !left_out.is_empty());
    let mut before = wanted.before.map_or(i64::MAX, seq);
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let mut values = vec![Value::from(tenant), Value::from(before), Value::from(left)];
        values.extend(endpoint.as_deref().map(Value::from));
        values.extend(wanted.state.map(|state| Value::from(number(state))));
        values.extend(wanted.message.as_deref().map(Value::from));
        values.extend(wanted.event_type.as_deref().map(Value::from));
        if !left_out.is_empty() {
            values.push(Value::ManyTexts(&left_out));
        }
        let rows = outbox.ask(CONTEXT, statement, &values).await?;
        for row in &rows {
            before = row.try_get("seq").map_err(|error| store_error(error, CONTEXT))?;
            match columns::delivery(row) {
                Ok(record) => records.push(record),
                Err(cause) => observe::unreadable("delivery", &before, &cause),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

pub(super) async fn attempts(outbox: &Core, id: SentDeliveryId) -> Result<Vec<AttemptRecord>, StoreError> {
    const CONTEXT: &str = "read attempts";

    let rows = outbox.ask(CONTEXT, &outbox.statements.attempts, &[Value::from(seq(id))]).await?;
    rows.iter().map(columns::attempt).collect::<Result<_, _>>().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn resend(outbox: &Core, id: SentDeliveryId) -> Result<bool, StoreError> {
    const CONTEXT: &str = "resend a delivery";

    let values = [outbox.offset(), Value::from(&*outbox.server.lock_timeout), Value::from(seq(id))];
    let rows = outbox.ask(CONTEXT, &outbox.statements.resend, &values).await?;
    let read = |row: &PgRow| Ok((row.try_get::<i64, _>("done")? > 0, row.try_get::<bool, _>("is_due")?));
    let done = rows.first().ok_or(sqlx::Error::RowNotFound).and_then(read);
    let (done, is_due) = done.map_err(|error| store_error(error, CONTEXT))?;
    if is_due {
        outbox.announce();
    }
    Ok(done)
}

pub(super) async fn cancel(outbox: &Core, id: SentDeliveryId) -> Result<bool, StoreError> {
    const CONTEXT: &str = "cancel a delivery";

    let values = [Value::from(&*outbox.server.lock_timeout), Value::from(seq(id)), outbox.offset()];
    let rows = outbox.ask(CONTEXT, &outbox.statements.cancel, &values).await?;
    if !rows.is_empty() {
        return Ok(true);
    }
    let deadline = outbox.deadline().await?;
    let done = transaction!(outbox, deadline, CONTEXT, tx => cancel_in_turn(outbox, &mut tx, id))?;
    if done {
        outbox.announce();
    }
    Ok(done)
}

/// Cancels a delivery with an order key, after which the next one with that key is due.
async fn cancel_in_turn(outbox: &Core, tx: &mut Tx, id: SentDeliveryId) -> Result<bool, sqlx::Error> {
    // What is decided under the lock is read after it.
    tx.all(&outbox.statements.lock_of_delivery, &[Value::from(seq(id))]).await?;
    let values = [outbox.offset(), Value::from(seq(id))];
    Ok(!tx.all(&outbox.statements.cancel_in_turn, &values).await?.is_empty())
}

pub(super) async fn recover(
    outbox: &Core,
    id: EndpointId,
    recover: Recover,
    limit: u32,
) -> Result<Recovered, StoreError> {
    let deadline = outbox.deadline().await?;
    let recovered =
        transaction!(outbox, deadline, "recover an endpoint", tx => recover_in(outbox, &mut tx, id, recover, limit))?;
    if recovered.deliveries > 0 {
        outbox.announce();
    }
    Ok(recovered)
}

async fn recover_in(
    outbox: &Core,
    tx: &mut Tx,
    id: EndpointId,
    recover: Recover,
    limit: u32,
) -> Result<Recovered, sqlx::Error> {
    let Some(found) = endpoints::find(outbox, tx, id).await? else { return Ok(Recovered::new(0, None)) };
    let (endpoint, mut health) = (&found.endpoint, found.health);
    let id = id.to_string();
    let page = [
        Value::from(&*id),
        Value::from(&*endpoint.tenant),
        Value::from(from_time(recover.since)),
        Value::from(recover.until.map_or(i64::MAX, from_time)),
        Value::Int(recover.after.map(|after| i64::try_from(after).unwrap_or(i64::MAX))),
        Value::from(i64::from(limit)),
    ];
    let rows = tx.all(&outbox.statements.page, &page).await?;

    let (mut again, mut never_made, mut last) = (Vec::new(), Vec::new(), None);
    for row in &rows {
        let message = row.int("seq")?;
        last = u64::try_from(message).ok();
        match looked(row)?.and_then(|(made, looked)| Some((missed(endpoint, &looked)?, made))) {
            Some((Missed::Ended, Some(made))) => again.push(made),
            Some((Missed::NeverMade, _)) => never_made.push(message),
            _ => {}
        }
    }
    let mut deliveries = 0;
    if !again.is_empty() || !never_made.is_empty() {
        let values = [
            Value::from(found.now),
            Value::from(&*id),
            Value::from(&*endpoint.tenant),
            Value::from(number(waits_as(endpoint.disabled))),
            Value::ManyInts(&again),
            Value::ManyInts(&never_made),
        ];
        let row = tx.first(&outbox.statements.recover, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
        deliveries = row.try_get::<i64, _>("count")?;
        health.pace.catching_up = true;
        endpoints::note(outbox, tx, endpoint, &health, endpoint.disabled).await?;
    }
    let next = last.filter(|_| rows.len() >= limit as usize);
    Ok(Recovered::new(deliveries.unsigned_abs(), next))
}
