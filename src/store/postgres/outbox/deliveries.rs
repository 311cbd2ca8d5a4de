use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{
    corrupt, count,
    dispatch::outbox_id,
    endpoints, moves,
    schema::{HELD, PENDING, number, state},
};
use crate::{
    clock::{from_time, to_time},
    error::StoreError,
    observe,
    send::{
        AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, OutboxId, Recover, Recovered,
        policy::{moved_from, show, shown_due, wants},
    },
    store::postgres::{
        PostgresStore,
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

pub(super) async fn get(store: &PostgresStore, id: OutboxId) -> Result<Option<DeliveryRecord>, StoreError> {
    const CONTEXT: &str = "read a delivery";

    let rows = store.ask(CONTEXT, &store.statements().delivery, &[seq(id)]).await?;
    let shown = |row: &PgRow| {
        let mut record = read(row)?;
        show(&mut record, row.try_get::<Option<i16>, _>("target")?.map(moves::target).transpose()?);
        Ok(record)
    };
    rows.first().map(shown).transpose().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    store: &PostgresStore,
    tenant: Arc<str>,
    wanted: DeliveryQuery,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let moves = moves::of_tenant(store, &tenant).await?;
    // What is being moved from the state is shown elsewhere.
    let leaves = |target: DeliveryState| wanted.state.is_some_and(|state| moved_from(target).contains(&state));
    let leaving: Vec<_> = moves.iter().filter(|(_, target)| leaves(**target)).map(|(id, _)| id.to_string()).collect();
    let mut records = page(store, &tenant, &wanted, &leaving, limit).await?;

    let comes = |id: &EndpointId, target: DeliveryState| {
        wanted.state == Some(target) && wanted.endpoint.is_none_or(|endpoint| endpoint == *id)
    };
    for (id, target) in moves.iter().filter(|(id, target)| comes(id, **target)) {
        for from in moved_from(*target) {
            let coming = wanted.clone().endpoint(*id).state(*from);
            records.extend(page(store, &tenant, &coming, &[], limit).await?);
        }
    }
    for record in &mut records {
        show(record, moves.get(&record.endpoint).copied());
    }
    records.sort_unstable_by_key(|record| std::cmp::Reverse(record.id));
    records.truncate(limit as usize);
    Ok(records)
}

/// Reads a page of those that are in the wanted state in the table, without some endpoints.
async fn page(
    store: &PostgresStore,
    tenant: &str,
    wanted: &DeliveryQuery,
    without: &[String],
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    const CONTEXT: &str = "list deliveries";

    let endpoint = wanted.endpoint.map(|id| id.to_string());
    let left_out: Vec<_> = without.iter().map(|id| Some(&**id)).collect();
    let statement = store.statements().deliveries(wanted, !left_out.is_empty());
    let mut before = wanted.before.map_or(i64::MAX, |id| i64::try_from(id.to_u64()).unwrap_or(i64::MAX));
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
        let rows = store.ask(CONTEXT, statement, &values).await?;
        for row in &rows {
            before = row.try_get("seq").map_err(|error| store_error(error, CONTEXT))?;
            match read(row) {
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

pub(super) async fn attempts(store: &PostgresStore, id: OutboxId) -> Result<Vec<AttemptRecord>, StoreError> {
    const CONTEXT: &str = "read attempts";

    let rows = store.ask(CONTEXT, &store.statements().attempts, &[seq(id)]).await?;
    let attempts = rows.iter().map(|row| {
        let status: Option<i32> = row.try_get("status")?;
        let millis: i64 = row.try_get("millis")?;
        Ok(AttemptRecord {
            attempt: count(row.try_get("attempt")?),
            manual: row.try_get("manual")?,
            ended_at: to_time(row.try_get("ended_at")?),
            status: status.and_then(|status| u16::try_from(status).ok()),
            error: row.try_get("error")?,
            duration: Duration::from_millis(u64::try_from(millis).unwrap_or_default()),
            answer: Bytes::from(row.try_get::<Option<Vec<u8>>, _>("answer")?.unwrap_or_default()),
        })
    });
    attempts.collect::<Result<_, _>>().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn resend(store: &PostgresStore, id: OutboxId) -> Result<bool, StoreError> {
    const CONTEXT: &str = "resend a delivery";

    let outbox = &store.inner.outbox;
    let values = [store.offset(), Value::from(&*outbox.lock_timeout), seq(id)];
    let rows = store.ask(CONTEXT, &store.statements().resend, &values).await?;
    let read = |row: &PgRow| Ok((row.try_get::<i64, _>("done")? > 0, row.try_get::<bool, _>("is_due")?));
    let done = rows.first().ok_or(sqlx::Error::RowNotFound).and_then(read);
    let (done, is_due) = done.map_err(|error| store_error(error, CONTEXT))?;
    if is_due {
        store.announce();
    }
    Ok(done)
}

pub(super) async fn cancel(store: &PostgresStore, id: OutboxId) -> Result<bool, StoreError> {
    let values = [Value::from(&*store.inner.outbox.lock_timeout), seq(id), store.offset()];
    let rows = store.ask("cancel a delivery", &store.statements().cancel, &values).await?;
    Ok(!rows.is_empty())
}

pub(super) async fn recover(
    store: &PostgresStore,
    id: EndpointId,
    recover: Recover,
    limit: u32,
) -> Result<Recovered, StoreError> {
    let deadline = store.outbox_deadline().await?;
    let recovered =
        transaction!(store, deadline, "recover an endpoint", tx => recover_in(store, &mut tx, id, recover, limit))?;
    if recovered.deliveries > 0 {
        store.announce();
    }
    Ok(recovered)
}

async fn recover_in(
    store: &PostgresStore,
    tx: &mut Tx,
    id: EndpointId,
    recover: Recover,
    limit: u32,
) -> Result<Recovered, sqlx::Error> {
    let Some(found) = endpoints::find(store, tx, id).await? else { return Ok(Recovered::new(0, None)) };
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
    let rows = tx.all(&store.statements().page, &page).await?;

    let (mut again, mut missed, mut last) = (Vec::new(), Vec::new(), None);
    for row in &rows {
        let message: i64 = row.try_get("seq")?;
        last = u64::try_from(message).ok();
        if !row.try_get::<bool, _>("may_have")? {
            continue;
        }
        let made: Option<i64> = row.try_get("delivery")?;
        let patterns = endpoint.settings.events.iter().map(String::as_str);
        match (made, row.try_get::<Option<i16>, _>("state")?.and_then(state)) {
            (Some(made), Some(DeliveryState::Refused | DeliveryState::Exhausted)) => {
                again.push(made);
            }
            (None, _) if wants(patterns, row.try_get("event_type")?) => missed.push(message),
            _ => {}
        }
    }
    let mut deliveries = 0;
    if !again.is_empty() || !missed.is_empty() {
        let is_disabled = endpoint.disabled.is_some();
        let values = [
            Value::from(found.now),
            Value::from(&*id),
            Value::from(&*endpoint.tenant),
            Value::from(if is_disabled { HELD } else { PENDING }),
            Value::ManyInts(&again),
            Value::ManyInts(&missed),
        ];
        let row = tx.first(&store.statements().recover, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
        deliveries = row.try_get::<i64, _>("count")?;
        health.pace.catching_up = true;
        endpoints::note(store, tx, endpoint, &health, endpoint.disabled).await?;
    }
    let next = last.filter(|_| rows.len() >= limit as usize);
    Ok(Recovered::new(deliveries.unsigned_abs(), next))
}

fn read(row: &PgRow) -> Result<DeliveryRecord, sqlx::Error> {
    let state = state(row.try_get("state")?).ok_or_else(|| corrupt("the state of a delivery is unknown"))?;
    let endpoint: &str = row.try_get("endpoint")?;
    Ok(DeliveryRecord {
        id: outbox_id(row.try_get("seq")?)?,
        message: row.try_get("id")?,
        event_type: row.try_get("event_type")?,
        tenant: row.try_get::<&str, _>("tenant")?.into(),
        endpoint: endpoint.parse().map_err(|_| corrupt("invalid endpoint id"))?,
        state,
        attempt: count(row.try_get("attempt")?),
        created_at: to_time(row.try_get("created_at")?),
        due_at: (state == DeliveryState::Pending)
            .then_some(shown_due(row.try_get("due_at")?, row.try_get("created_at")?)),
    })
}

fn seq(id: OutboxId) -> Value<'static> {
    Value::from(i64::try_from(id.to_u64()).unwrap_or(i64::MAX))
}
