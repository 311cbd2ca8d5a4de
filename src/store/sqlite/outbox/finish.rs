use sqlx::{Row, SqliteConnection};

use super::{
    corrupt, count, dispatch, endpoints, query,
    schema::{SENDING, number},
    stats,
};
use crate::{
    clock::millis,
    error::{StoreError, StoreErrorKind},
    observe,
    send::{After, AttemptEnd, DisabledReason, EndpointId, Fenced, Finish, LeaseToken, OutboxId, latency_bucket},
    store::{
        outbox::{Health, Standing, next_state, round},
        record::Millis,
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "finish an attempt";

/// Does what `finish` does inside a transaction that holds the write lock.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, token): (OutboxId, LeaseToken),
    finish: &Finish,
    now: Millis,
) -> Result<(Fenced, Option<DisabledReason>), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let seq = i64::try_from(id.to_u64()).unwrap_or(i64::MAX);
    let row = query(
        prefix,
        "SELECT endpoint, attempt, epoch, resent_after, created_at, tenant FROM {}outbox_deliveries WHERE seq = ? AND state = ? AND token = ?",
    )
    .bind(seq)
    .bind(SENDING)
    .bind(token.to_bytes().to_vec())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok((Fenced::Stale, None)) };
    let endpoint: EndpointId =
        row.try_get::<&str, _>(0).map_err(failed)?.parse().map_err(|_| corrupt("an endpoint's id is none"))?;
    let attempt: i64 = row.try_get(1).map_err(failed)?;
    let epoch: i64 = row.try_get(2).map_err(failed)?;
    let (_, manual) = round(count(attempt), row.try_get::<Option<i64>, _>(3).map_err(failed)?.map(count));

    let created_at: Millis = row.try_get(4).map_err(failed)?;
    let tenant: String = row.try_get(5).map_err(failed)?;
    let mut disabled = None;
    let mut health_then = Health::default();
    let found = match endpoints::find(connection, prefix, endpoint).await {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Err(error),
        found => Ok(found?),
    };
    let standing = match found {
        // The attempt was made anyway, and is noted.
        Err(error) => {
            observe::unreadable("endpoint", &endpoint, &error);
            match endpoints::is_disabled(connection, prefix, endpoint).await? {
                None => Standing::Deleted,
                Some(true) => Standing::Disabled,
                Some(false) => Standing::Enabled,
            }
        }
        Ok(None) => Standing::Deleted,
        Ok(Some((found, mut health))) => {
            let reason = health.count(finish, epoch, now);
            health_then = health;
            endpoints::note(connection, prefix, &found, &health, None).await?;
            match (found.disabled, reason) {
                (None, Some(_)) => {
                    // What is more than a step of what waits is held by and by.
                    endpoints::switch_in(connection, prefix, (&found, health), reason, now).await?;
                    if let Some(notice) = &finish.notice {
                        // One that is in conflict with another says the same.
                        dispatch::store(connection, prefix, std::slice::from_ref(notice), now).await.map_err(failed)?;
                    }
                    disabled = reason;
                    Standing::Disabled
                }
                (Some(_), _) => Standing::Disabled,
                (None, None) => health.standing(epoch),
            }
        }
    };

    let unsent = matches!(finish.after, After::Unsent { .. });
    let (state, due) = next_state(finish.after, standing, now);
    let due = health_then.due(state, due, created_at);
    query(prefix, "UPDATE {}outbox_deliveries SET state = ?, due_at = ?, token = NULL, attempt = ? WHERE seq = ?")
        .bind(number(state))
        .bind(due)
        .bind(attempt - i64::from(unsent))
        .bind(seq)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if !unsent {
        query(
            prefix,
            "INSERT INTO {}outbox_attempts (delivery, attempt, ended_at, status, error, millis, answer, manual) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(seq)
        .bind(attempt)
        .bind(now)
        .bind(finish.status.map(i64::from))
        .bind(finish.error)
        .bind(millis(finish.duration))
        .bind(finish.answer.to_vec())
        .bind(manual)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    if let Some(end) = AttemptEnd::of(finish.after) {
        stats::count(connection, prefix, (tenant, endpoint), (end, latency_bucket(finish.duration)), now)
            .await
            .map_err(failed)?;
    }
    Ok((Fenced::Applied, disabled))
}
