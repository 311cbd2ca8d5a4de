use sqlx::Row;
use tokio::time::timeout_at;

use super::{
    count, dispatch,
    endpoints::{self, Found},
    schema::number,
    transaction::{Tx, is_conflict, transaction},
};
use crate::{
    clock::millis,
    error::StoreError,
    observe,
    send::{AttemptEnd, DisabledReason, Fenced, Finish, LeaseToken, OutboxId, latency_bucket},
    store::{
        outbox::{Standing, hour, next_state, round},
        postgres::{
            PostgresStore,
            error::{no_answer, store_error},
            statement::Value,
        },
    },
};

pub(super) async fn finish(
    store: &PostgresStore,
    id: OutboxId,
    token: LeaseToken,
    finish: Finish,
) -> Result<(Fenced, Option<DisabledReason>), StoreError> {
    let deadline = store.outbox_deadline().await?;
    let finished =
        transaction!(store, deadline, "finish an attempt", tx => finish_in(store, &mut tx, id, token, &finish))?;
    if finished.1.is_some() && finish.notice.is_some() {
        store.announce();
    }
    Ok(finished)
}

async fn finish_in(
    store: &PostgresStore,
    tx: &mut Tx,
    id: OutboxId,
    token: LeaseToken,
    finish: &Finish,
) -> Result<(Fenced, Option<DisabledReason>), sqlx::Error> {
    let seq = Value::from(i64::try_from(id.to_u64()).unwrap_or(i64::MAX));
    let token = token.to_bytes();
    let row = tx.first(&store.statements().finish_read, &[store.offset(), seq, Value::from(&token)]).await?;
    let Some(row) = row else { return Ok((Fenced::Stale, None)) };
    let now = row.try_get("now")?;
    let attempt: i64 = row.try_get("delivery_attempt")?;
    let epoch: i64 = row.try_get("delivery_epoch")?;
    let (_, manual) = round(count(attempt), row.try_get::<Option<i64>, _>("resent_after")?.map(count));

    let mut disabled = None;
    let mut found = None;
    let standing = match row.try_get::<Option<&str>, _>("id")? {
        None => Standing::Deleted,
        Some(id) => match endpoints::read(&row) {
            // The attempt was made anyway, and is noted.
            Err(cause) => {
                observe::unreadable("endpoint", &id, &cause);
                match row.try_get::<Option<&str>, _>("disabled")? {
                    Some(_) => Standing::Disabled,
                    None => Standing::Enabled,
                }
            }
            Ok((endpoint, mut health)) => {
                let reason = health.count(finish, epoch, now);
                let locked = found.insert(Found { endpoint, health, now });
                match (locked.endpoint.disabled, reason) {
                    (None, Some(_)) => {
                        endpoints::switch_in(store, tx, locked, reason).await?;
                        if let Some(notice) = &finish.notice {
                            // One that is in conflict with another says the same.
                            dispatch::dispatch_with(store, tx, std::slice::from_ref(notice)).await?;
                        }
                        disabled = reason;
                        Standing::Disabled
                    }
                    (Some(_), _) => Standing::Disabled,
                    (None, None) => locked.health.standing(epoch),
                }
            }
        },
    };

    let end = AttemptEnd::of(finish.after);
    let is_noted = end.is_some();
    let (of, tenant): (&str, &str) = (row.try_get("delivery_endpoint")?, row.try_get("delivery_tenant")?);
    let (state, due) = next_state(finish.after, standing, now);
    let created_at = row.try_get("delivery_created_at")?;
    let due = found.as_ref().map_or(due, |found| found.health.due(state, due, created_at));
    let endpoint = found.as_ref().map(|found| found.endpoint.id.to_string());
    let health = found.as_ref().map(|found| found.health).unwrap_or_default();
    let limit = found.as_ref().and_then(|found| found.endpoint.settings.rate_limit);
    let values = [
        Value::from(now),
        seq,
        Value::from(number(state)),
        Value::from(due),
        Value::from(if is_noted { attempt } else { attempt - 1 }),
        Value::from(i64::from(is_noted)),
        Value::from(i64::from(count(attempt))),
        Value::Int(finish.status.map(i64::from)),
        Value::Text(finish.error),
        Value::from(millis(finish.duration)),
        Value::Bytes(Some(&finish.answer[..]).filter(|answer| !answer.is_empty())),
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
        Value::from(i64::from(manual)),
        Value::from(tenant),
        Value::from(i64::from(hour(now))),
        Value::from(of),
        Value::from(i64::from(end.unwrap_or(AttemptEnd::Retried).number())),
        Value::from(i64::from(latency_bucket(finish.duration))),
    ];
    tx.all(&store.statements().finish_write, &values).await?;
    Ok((Fenced::Applied, disabled))
}
