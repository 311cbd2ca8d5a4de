use sqlx::SqliteConnection;

use super::rows::{EventRow, STANDING, bounded, go_on, key_bytes, number, query, waits};
use crate::{
    clock::Millis,
    inbox::{
        AcceptRequest, Accepted, EventDraft,
        policy::{self, Found, Standing},
    },
};

/// Does what `accept` does inside a transaction that holds the write lock.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &AcceptRequest,
    now: Millis,
) -> Result<Vec<Accepted>, sqlx::Error> {
    let mut rows = Vec::with_capacity(request.events.len());
    for event in &request.events {
        rows.push(look_up(connection, prefix, event, now).await?);
    }
    let room = match request.limit {
        Some(limit) => Some((unfinished(connection, prefix, &request.consumer, limit).await?, limit)),
        None => None,
    };
    let found = |index: usize| {
        let (row, is_guarded) = &rows[index];
        let of = |row: &EventRow| {
            let other_body = row.fingerprint != request.events[index].fingerprint.to_bytes();
            (row.standing, row.retention, other_body)
        };
        Found::new(row.as_ref().map(of), *is_guarded)
    };
    let answers = policy::accept(&request.events, found, room, now);
    for ((event, answer), (row, _)) in request.events.iter().zip(&answers).zip(rows) {
        let order_key = key_bytes(event.order_key);
        match answer {
            Accepted::New => {
                if let Some(old) = row {
                    query(prefix, "DELETE FROM {}inbox_events WHERE seq = ?")
                        .bind(old.seq)
                        .execute(&mut *connection)
                        .await?;
                }
                let standing = Standing::arrived(waits(connection, prefix, order_key.as_deref(), 0).await?, now);
                insert(connection, prefix, &request.consumer, event, &standing, now).await?;
            }
            Accepted::Rearmed { .. } => {
                let Some(mut row) = row else { continue };
                row.standing.rearm(waits(connection, prefix, order_key.as_deref(), row.seq).await?, now);
                rearm(connection, prefix, event, &row, now).await?;
                // It may have had another order key before.
                go_on(connection, prefix, row.order_key.as_deref(), now).await?;
            }
            Accepted::Duplicate { .. } | Accepted::Full | Accepted::Replay => {}
        }
    }
    Ok(answers)
}

async fn look_up(
    connection: &mut SqliteConnection,
    prefix: &str,
    event: &EventDraft,
    now: Millis,
) -> Result<(Option<EventRow>, bool), sqlx::Error> {
    let text = format!("SELECT {STANDING} FROM {{}}inbox_events WHERE key = ?");
    let row = query(prefix, &text).bind(event.key.to_bytes().to_vec()).fetch_optional(&mut *connection).await?;
    let row = row.as_ref().map(EventRow::read).transpose()?;
    let is_guarded = match event.guard {
        None => false,
        Some(guard) => query(
            prefix,
            "SELECT 1 FROM {}inbox_events WHERE guard = ? AND guard IS NOT NULL AND guard_until > ? AND key <> ? LIMIT 1",
        )
        .bind(guard.key.to_bytes().to_vec())
        .bind(now)
        .bind(event.key.to_bytes().to_vec())
        .fetch_optional(connection)
        .await?
        .is_some(),
    };
    Ok((row, is_guarded))
}

/// Counts the events that have not ended, up to the limit.
async fn unfinished(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    limit: u64,
) -> Result<u64, sqlx::Error> {
    use sqlx::Row;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let row =
        query(prefix, "SELECT count(*) FROM (SELECT 1 FROM {}inbox_events WHERE consumer = ? AND state <= 1 LIMIT ?)")
            .bind(consumer.to_owned())
            .bind(limit)
            .fetch_one(connection)
            .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
}

async fn insert(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    event: &EventDraft,
    standing: &Standing,
    now: Millis,
) -> Result<(), sqlx::Error> {
    query(
        prefix,
        "INSERT INTO {}inbox_events (key, consumer, state, due_at, accepted_at, fingerprint, retention, order_key, guard, \
         guard_until, provider, tenant, delivery_id, event_type, head, body) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(event.key.to_bytes().to_vec())
    .bind(consumer.to_owned())
    .bind(number(standing.state))
    .bind(standing.due_at)
    .bind(now)
    .bind(event.fingerprint.to_bytes().to_vec())
    .bind(bounded(event.retention))
    .bind(key_bytes(event.order_key))
    .bind(key_bytes(event.guard.map(|guard| guard.key)))
    .bind(event.guard.map(|guard| now.saturating_add(bounded(guard.window))))
    .bind(event.provider.to_string())
    .bind(event.tenant.as_deref().map(str::to_owned))
    .bind(event.delivery_id.as_deref().map(str::to_owned))
    .bind(event.event_type.as_deref().map(str::to_owned))
    .bind(event.content.head.to_string())
    .bind(event.content.body.to_vec())
    .execute(connection)
    .await
    .map(drop)
}

/// Replaces a dead event by the new content.
async fn rearm(
    connection: &mut SqliteConnection,
    prefix: &str,
    event: &EventDraft,
    row: &EventRow,
    now: Millis,
) -> Result<(), sqlx::Error> {
    query(
        prefix,
        "UPDATE {}inbox_events SET state = ?, due_at = ?, attempt = ?, spent = ?, token = NULL, reason = NULL, accepted_at = ?, \
         fingerprint = ?, retention = ?, order_key = ?, guard = ?, guard_until = ?, tenant = ?, delivery_id = ?, event_type = ?, \
         has_content = 1, head = ?, body = ? WHERE seq = ?",
    )
    .bind(number(row.standing.state))
    .bind(row.standing.due_at)
    .bind(i64::from(row.standing.attempt))
    .bind(i64::from(row.standing.spent))
    .bind(now)
    .bind(event.fingerprint.to_bytes().to_vec())
    .bind(bounded(event.retention))
    .bind(key_bytes(event.order_key))
    .bind(key_bytes(event.guard.map(|guard| guard.key)))
    .bind(event.guard.map(|guard| now.saturating_add(bounded(guard.window))))
    .bind(event.tenant.as_deref().map(str::to_owned))
    .bind(event.delivery_id.as_deref().map(str::to_owned))
    .bind(event.event_type.as_deref().map(str::to_owned))
    .bind(event.content.head.to_string())
    .bind(event.content.body.to_vec())
    .bind(row.seq)
    .execute(connection)
    .await
    .map(drop)
}
