use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use super::rows::{bounded, go_on, query};
use crate::{clock::Millis, inbox::InboxRetention};

/// Does what `purge` does inside a transaction that holds the write lock. Each walk begins with what ended first, and meets nothing that
/// is not old.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    prefix: &str,
    (consumer, keep): (&str, InboxRetention),
    limit: u32,
    now: Millis,
) -> Result<u64, sqlx::Error> {
    let old = |keep: Duration| now.saturating_sub(bounded(keep));
    let dead = query(
        prefix,
        "DELETE FROM {}inbox_events WHERE seq IN (\
         SELECT seq FROM {}inbox_events WHERE state = 4 AND consumer = ? AND due_at <= ? ORDER BY due_at LIMIT ?)",
    );
    let mut removed = dead
        .bind(consumer.to_owned())
        .bind(old(keep.dead))
        .bind(i64::from(limit))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let mut retention = None;
    while removed < u64::from(limit) {
        retention = next_retention(connection, prefix, consumer, retention).await?;
        let Some(retention) = retention else { break };
        let ended = query(
            prefix,
            "DELETE FROM {}inbox_events WHERE seq IN (\
             SELECT seq FROM {}inbox_events WHERE state > 1 AND state < 4 AND consumer = ? AND retention = ? AND due_at <= ? \
             ORDER BY due_at LIMIT ?)",
        );
        removed += ended
            .bind(consumer.to_owned())
            .bind(retention)
            .bind(now.saturating_sub(retention.max(bounded(keep.content))))
            .bind(i64::from(limit) - i64::try_from(removed).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    let emptied = query(
        prefix,
        "UPDATE {}inbox_events SET has_content = 0, head = NULL, body = NULL WHERE seq IN (\
         SELECT seq FROM {}inbox_events WHERE state > 1 AND state < 4 AND has_content = 1 AND consumer = ? AND due_at <= ? \
         ORDER BY due_at LIMIT ?)",
    );
    let emptied = emptied
        .bind(consumer.to_owned())
        .bind(old(keep.content))
        .bind(i64::from(limit))
        .execute(connection)
        .await?
        .rows_affected();
    Ok(removed + emptied)
}

/// The next larger retention of what has ended.
async fn next_retention(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    after: Option<i64>,
) -> Result<Option<i64>, sqlx::Error> {
    query(
        prefix,
        "SELECT min(retention) FROM {}inbox_events WHERE state > 1 AND state < 4 AND consumer = ? AND retention > ?",
    )
    .bind(consumer.to_owned())
    .bind(after.unwrap_or(-1))
    .fetch_one(connection)
    .await?
    .try_get(0)
}

/// Does what `erase` does inside a transaction that holds the write lock.
pub(super) async fn erase(
    connection: &mut SqliteConnection,
    prefix: &str,
    (consumer, tenant): (&str, &str),
    limit: u32,
    now: Millis,
) -> Result<u64, sqlx::Error> {
    let rows = query(
        prefix,
        "SELECT seq, order_key FROM {}inbox_events WHERE tenant = ? AND tenant IS NOT NULL AND consumer = ? AND state <> 1 LIMIT ?",
    )
    .bind(tenant.to_owned())
    .bind(consumer.to_owned())
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let (seq, order_key): (i64, Option<Vec<u8>>) = (row.try_get(0)?, row.try_get(1)?);
        query(prefix, "DELETE FROM {}inbox_events WHERE seq = ?").bind(seq).execute(&mut *connection).await?;
        go_on(connection, prefix, order_key.as_deref(), now).await?;
    }
    Ok(rows.len() as u64)
}
