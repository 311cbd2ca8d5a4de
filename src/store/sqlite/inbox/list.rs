use std::{sync::Arc, time::Duration};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::rows::{corrupt, number, number_of, query, state};
use crate::{
    clock::{Millis, to_time},
    idempotency::ClaimKey,
    inbox::{Content, EventState, InboxId, InboxQuery, InboxRecord, InboxStats, STATS_COUNTED, policy::NEVER},
};

const COLUMNS: &str =
    "seq, consumer, provider, tenant, delivery_id, event_type, state, attempt, accepted_at, due_at, reason";

fn record(row: &SqliteRow) -> Result<InboxRecord, sqlx::Error> {
    let text = |index: usize| -> Result<Option<Arc<str>>, sqlx::Error> {
        Ok(row.try_get::<Option<&str>, _>(index)?.map(Into::into))
    };
    let seq: i64 = row.try_get(0)?;
    let id = InboxId::from_u64(u64::try_from(seq).unwrap_or_default());
    let (consumer, provider): (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
    let mut record = InboxRecord::new(id, consumer.into(), provider.into(), to_time(row.try_get(8)?));
    (record.tenant, record.delivery_id, record.event_type) = (text(3)?, text(4)?, text(5)?);
    record.state = state(row.try_get(6)?)?;
    record.attempt = u32::try_from(row.try_get::<i64, _>(7)?).unwrap_or(u32::MAX);
    let due_at: Millis = row.try_get(9)?;
    record.due_at = (due_at != NEVER).then(|| to_time(due_at));
    record.reason = text(10)?;
    Ok(record)
}

pub(super) async fn event(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: InboxId,
) -> Result<Option<InboxRecord>, sqlx::Error> {
    let text = format!("SELECT {COLUMNS}, head, body, key FROM {{}}inbox_events WHERE seq = ?");
    let Some(row) = query(prefix, &text).bind(number_of(id)).fetch_optional(connection).await? else { return Ok(None) };
    let mut record = record(&row)?;
    let (head, body): (Option<&str>, Option<Vec<u8>>) = (row.try_get(11)?, row.try_get(12)?);
    let key: &[u8] = row.try_get(13)?;
    record.key = Some(ClaimKey::from_bytes(key.try_into().map_err(|_| corrupt("a key is not of 16 bytes"))?));
    record.content = head.zip(body).map(|(head, body)| Content::new(head.into(), body.into()));
    Ok(Some(record))
}

pub(super) async fn events(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    wanted: &InboxQuery,
    limit: u32,
) -> Result<Vec<InboxRecord>, sqlx::Error> {
    let mut text = format!("SELECT {COLUMNS} FROM {{}}inbox_events WHERE consumer = ?1 AND seq < ?2");
    for (is_wanted, condition) in [
        (wanted.state.is_some(), " AND state = ?3"),
        (wanted.event_type.is_some(), " AND event_type = ?4"),
        (wanted.tenant.is_some(), " AND tenant = ?5"),
    ] {
        if is_wanted {
            text.push_str(condition);
        }
    }
    text.push_str(" ORDER BY seq DESC LIMIT ?6");
    let rows = query(prefix, &text)
        .bind(consumer.to_owned())
        .bind(wanted.before.map_or(i64::MAX, number_of))
        .bind(wanted.state.map(number))
        .bind(wanted.event_type.as_deref().map(str::to_owned))
        .bind(wanted.tenant.as_deref().map(str::to_owned))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn stats(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
    now: Millis,
) -> Result<InboxStats, sqlx::Error> {
    let mut counts = Vec::new();
    for state in [EventState::Pending, EventState::Working, EventState::Dead] {
        let row = query(prefix, COUNT)
            .bind(consumer.to_owned())
            .bind(number(state))
            .bind(i64::try_from(STATS_COUNTED).unwrap_or(i64::MAX))
            .fetch_one(&mut *connection)
            .await?;
        counts.push(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default());
    }
    let row = query(prefix, OLDEST).bind(consumer.to_owned()).fetch_one(connection).await?;
    let oldest: Option<Millis> = row.try_get(0)?;
    let oldest = oldest.map(|at| Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or_default()));
    Ok(InboxStats::new(counts[0], counts[1], counts[2], oldest))
}

/// Each walks an index, and no further than to a limit.
const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM {}inbox_events WHERE consumer = ? AND state = ? LIMIT ?)";
const OLDEST: &str = "SELECT min(accepted_at) FROM {}inbox_events WHERE consumer = ? AND state <= 1";

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::{COUNT, OLDEST};
    use crate::store::sqlite::inbox::schema::INBOX;

    #[tokio::test]
    async fn figures_are_read_from_indexes_alone() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for statement in (INBOX.migrations)("").into_iter().flat_map(|migration| migration.statements) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        for text in [COUNT, OLDEST] {
            let explain = format!("EXPLAIN QUERY PLAN {}", text.replace("{}", ""));
            let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();

            assert!(plan.iter().any(|step| step.contains("COVERING INDEX inbox_events_")), "{text}: {plan:?}");
        }
    }
}
