use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::rows::{EventRow, STANDING, find, go_on, number, number_of, query, waits};
use crate::{
    clock::{Millis, from_time},
    inbox::{Change, EventState, Selection},
};

/// Does what `change` does inside a transaction that holds the write lock.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    (change, selection, limit): (Change, &Selection, u32),
    now: Millis,
) -> Result<u64, sqlx::Error> {
    let mut rows = Vec::new();
    match selection {
        Selection::Ids(ids) => {
            // Each once, the oldest first.
            let ids: BTreeSet<_> = ids.iter().map(|id| number_of(*id)).collect();
            for id in ids {
                if is_of(connection, prefix, consumer, id).await? {
                    rows.extend(find(connection, prefix, id).await?);
                }
            }
        }
        Selection::DiedSince(since) => {
            let text = format!(
                "SELECT {STANDING} FROM {{}}inbox_events WHERE consumer = ? AND state = ? AND due_at >= ? \
                 AND (? OR has_content = 1) ORDER BY seq LIMIT ?"
            );
            let found = query(prefix, &text)
                .bind(consumer.to_owned())
                .bind(number(EventState::Dead))
                .bind(from_time(*since))
                // An event that cannot be replayed must not block others.
                .bind(change == Change::Discard)
                .bind(i64::from(limit))
                .fetch_all(&mut *connection)
                .await?;
            for row in &found {
                rows.push(EventRow::read(row)?);
            }
        }
    }
    let mut changed = 0;
    for mut row in rows {
        if changed >= u64::from(limit) {
            break;
        }
        let waits = waits(connection, prefix, row.order_key.as_deref(), row.seq).await?;
        if row.standing.change(change, (waits, row.has_content), now) {
            row.write(connection, prefix, None).await?;
            if row.standing.state.has_ended() {
                go_on(connection, prefix, row.order_key.as_deref(), now).await?;
            }
            changed += 1;
        }
    }
    Ok(changed)
}

async fn is_of(connection: &mut SqliteConnection, prefix: &str, consumer: &str, seq: i64) -> Result<bool, sqlx::Error> {
    let found = query(prefix, "SELECT 1 FROM {}inbox_events WHERE seq = ? AND consumer = ?");
    Ok(found.bind(seq).bind(consumer.to_owned()).fetch_optional(connection).await?.is_some())
}
