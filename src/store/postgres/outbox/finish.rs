use sqlx::Row;
use tokio::time::timeout_at;

use super::{
    dispatch,
    endpoints::{self, Found},
    shared::Outbox,
};
use crate::{
    clock::millis,
    error::StoreError,
    observe,
    send::{
        DeliveryState, DisabledReason, Fenced, Finish, LeaseToken, SentDeliveryId,
        policy::{Attempted, Finished, Receiver, counted, finish as decide},
    },
    store::{
        columns::{self, Columns, count, number, seq},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

pub(super) async fn finish(
    outbox: &Outbox,
    id: SentDeliveryId,
    token: LeaseToken,
    end: Finish,
) -> Result<(Fenced, Option<DisabledReason>), StoreError> {
    let deadline = outbox.deadline().await?;
    let finished =
        transaction!(outbox, deadline, "finish an attempt", tx => finish_in(outbox, &mut tx, id, token, &end))?;
    if finished.1.is_some() && end.notice.is_some() {
        outbox.announce();
    }
    Ok(finished)
}

async fn finish_in(
    outbox: &Outbox,
    tx: &mut Tx,
    id: SentDeliveryId,
    token: LeaseToken,
    end: &Finish,
) -> Result<(Fenced, Option<DisabledReason>), sqlx::Error> {
    let token = token.to_bytes();
    let values = [outbox.offset(), Value::from(seq(id)), Value::from(&token)];
    let row = tx.first(&outbox.statements.finish_read, &values).await?;
    let Some(row) = row else { return Ok((Fenced::Stale, None)) };
    let now = row.try_get("now")?;
    let attempt = count(row.int("delivery_attempt")?);
    let mut attempted = Attempted::new(attempt, row.int("delivery_epoch")?, row.int("delivery_created_at")?);
    attempted.resent_after = row.optional_int("resent_after")?.map(count);
    let mut found = None;
    let receiver = match row.try_get::<Option<&str>, _>("id")? {
        None => Receiver::Deleted,
        Some(id) => match columns::endpoint(&row) {
            Err(cause) => {
                observe::unreadable("endpoint", &id, &cause);
                Receiver::Unreadable { is_disabled: row.optional_text("disabled")?.is_some() }
            }
            Ok((endpoint, health)) => {
                let is_disabled = endpoint.disabled.is_some();
                found = Some(Found { endpoint, health, now });
                Receiver::Readable { health, is_disabled }
            }
        },
    };

    let finished = decide(&attempted, receiver, end, now);

    if let (Some(found), Some(health)) = (&mut found, finished.health) {
        found.health = health;
        if finished.disabled.is_some() {
            endpoints::switch_in(outbox, tx, found, finished.disabled).await?;
            if let Some(notice) = &end.notice {
                // If the notice is in conflict, the other message with its id says the same.
                dispatch::dispatch_with(outbox, tx, std::slice::from_ref(notice)).await?;
            }
        }
    }
    let whose = (row.text("delivery_tenant")?, row.text("delivery_endpoint")?);
    let waits = matches!(finished.state, DeliveryState::Pending | DeliveryState::Held);
    let ended = row.optional_text("delivery_order_key")?.filter(|_| !waits);
    write(outbox, tx, (id, attempt, now), (&finished, end), found.as_ref(), (whose, ended.as_deref())).await?;
    Ok((Fenced::Applied, finished.disabled))
}

async fn write(
    outbox: &Outbox,
    tx: &mut Tx,
    (id, attempt, now): (SentDeliveryId, u32, i64),
    (finished, end): (&Finished, &Finish),
    found: Option<&Found>,
    ((tenant, of), order_key): ((&str, &str), Option<&str>),
) -> Result<(), sqlx::Error> {
    let counted = counted(end, now);
    let endpoint = found.map(|found| found.endpoint.id.to_string());
    let health = found.map(|found| found.health).unwrap_or_default();
    let limit = found.and_then(|found| found.endpoint.settings.rate_limit);
    let values = [
        Value::from(now),
        Value::from(seq(id)),
        Value::from(number(finished.state)),
        Value::from(finished.due_at),
        Value::from(i64::from(finished.attempt)),
        Value::from(i64::from(finished.is_noted)),
        Value::from(i64::from(attempt)),
        Value::Int(end.status.map(i64::from)),
        Value::Text(end.error),
        Value::from(millis(end.duration)),
        Value::Bytes(Some(&end.answer[..]).filter(|answer| !answer.is_empty())),
        Value::Text(endpoint.as_deref()),
        Value::from(i64::from(health.failures)),
        Value::Int(health.failing_since),
        Value::from(health.rests_until),
        Value::from(i64::from(health.proven)),
        Value::from(i64::from(health.pace.catching_up)),
        Value::from(health.ready_at(limit)),
        Value::from(health.epoch),
        Value::from(i64::from(health.strikes)),
        Value::from(health.struck_at),
        Value::from(health.slow_at),
        Value::from(i64::from(finished.manual)),
        Value::from(tenant),
        Value::from(of),
        Value::Int(counted.map(|counted| counted.hour.into())),
        Value::Int(counted.map(|counted| counted.end.number().into())),
        Value::Int(counted.map(|counted| counted.bucket.into())),
        Value::Text(order_key),
    ];
    tx.all(&outbox.statements.finish_write, &values).await.map(drop)
}
