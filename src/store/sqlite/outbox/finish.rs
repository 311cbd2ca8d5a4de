use sqlx::{Row, SqliteConnection};

use super::{
    dispatch,
    endpoints::{self, Found},
    session::query,
    stats,
};
use crate::{
    clock::{Millis, millis},
    error::StoreError,
    observe,
    send::{
        DisabledReason, EndpointId, Fenced, Finish, LeaseToken, SentDeliveryId,
        policy::{Attempted, Finished, Receiver, counted, finish as decide},
    },
    store::{
        columns::{Columns, SENDING, corrupt, count, number, seq},
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "finish an attempt";

/// Does what `finish` does inside a transaction that holds the write lock.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, token): (SentDeliveryId, LeaseToken),
    end: &Finish,
    now: Millis,
) -> Result<(Fenced, Option<DisabledReason>), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let Some((tenant, id_of, attempted)) = held(connection, prefix, id, token).await? else {
        return Ok((Fenced::Stale, None));
    };
    let found = endpoints::find(connection, prefix, id_of).await?;
    let receiver = match &found {
        Found::Missing => Receiver::Deleted,
        Found::Readable(endpoint, health) => {
            Receiver::Readable { health: *health, is_disabled: endpoint.disabled.is_some() }
        }
        Found::Unreadable { cause, is_disabled } => {
            observe::unreadable("endpoint", &id_of, cause);
            Receiver::Unreadable { is_disabled: *is_disabled }
        }
    };

    let finished = decide(&attempted, receiver, end, now);

    if let (Some(health), Found::Readable(endpoint, _)) = (finished.health, &found) {
        endpoints::note(connection, prefix, endpoint, &health, None).await?;
        if finished.disabled.is_some() {
            // If there are more waiting deliveries than one step can hold, `purge` holds the rest.
            endpoints::switch_in(connection, prefix, (endpoint, health), finished.disabled, now).await?;
            if let Some(notice) = &end.notice {
                // If the notice is in conflict, the other message with its id says the same.
                dispatch::store(connection, prefix, std::slice::from_ref(notice), now).await.map_err(failed)?;
            }
        }
    }
    write(connection, prefix, (id, attempted.attempt), (&finished, end), now).await.map_err(failed)?;
    if let Some(counted) = counted(end, now) {
        stats::count(connection, prefix, (tenant, id_of), counted).await.map_err(failed)?;
    }
    Ok((Fenced::Applied, finished.disabled))
}

/// Reads the delivery that the token holds, whose it is, and for which endpoint it is.
async fn held(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: SentDeliveryId,
    token: LeaseToken,
) -> Result<Option<(String, EndpointId, Attempted)>, StoreError> {
    let row = query(
        prefix,
        "SELECT tenant, endpoint, attempt, epoch, resent_after, created_at FROM {}outbox_deliveries \
         WHERE seq = ? AND state = ? AND token = ?",
    )
    .bind(seq(id))
    .bind(SENDING)
    .bind(token.to_bytes().to_vec())
    .fetch_optional(connection)
    .await
    .map_err(|error| store_error(CONTEXT, error))?;
    let Some(row) = row else { return Ok(None) };
    let read = || {
        let endpoint = row.try_get::<&str, _>("endpoint")?.parse().map_err(|_| corrupt("invalid endpoint id"))?;
        let mut attempted = Attempted::new(count(row.int("attempt")?), row.int("epoch")?, row.int("created_at")?);
        attempted.resent_after = row.optional_int("resent_after")?.map(count);
        Ok(Some((row.text("tenant")?.to_owned(), endpoint, attempted)))
    };
    read().map_err(|error| store_error(CONTEXT, error))
}

async fn write(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, attempt): (SentDeliveryId, u32),
    (finished, end): (&Finished, &Finish),
    now: Millis,
) -> Result<(), sqlx::Error> {
    query(prefix, "UPDATE {}outbox_deliveries SET state = ?, due_at = ?, token = NULL, attempt = ? WHERE seq = ?")
        .bind(number(finished.state))
        .bind(finished.due_at)
        .bind(i64::from(finished.attempt))
        .bind(seq(id))
        .execute(&mut *connection)
        .await?;
    if !finished.is_noted {
        return Ok(());
    }
    query(
        prefix,
        "INSERT INTO {}outbox_attempts (delivery, attempt, ended_at, status, error, millis, answer, manual) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(seq(id))
    .bind(i64::from(attempt))
    .bind(now)
    .bind(end.status.map(i64::from))
    .bind(end.error)
    .bind(millis(end.duration))
    .bind(end.answer.to_vec())
    .bind(finished.manual)
    .execute(connection)
    .await
    .map(drop)
}
