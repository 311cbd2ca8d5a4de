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
    let rows = query(prefix, &statement(wanted))
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

/// There are only a few different texts, so that each is prepared once.
///
/// Only a page is read, however many events there are: from an index that has those of each state in the order of the list. If any state
/// is wanted, the lists of all states are merged.
fn statement(wanted: &InboxQuery) -> String {
    let (index, whose) = match (&wanted.tenant, &wanted.event_type) {
        (None, None) => ("state", ""),
        (None, Some(_)) => ("type", " AND event_type = ?4"),
        (Some(_), None) => ("tenant", " AND tenant = ?5"),
        (Some(_), Some(_)) => ("tenant_type", " AND tenant = ?5 AND event_type = ?4"),
    };
    let of_state = |state: String| {
        format!(
            "SELECT {COLUMNS} FROM {{}}inbox_events INDEXED BY {{}}inbox_events_{index} \
             WHERE consumer = ?1{whose} AND state = {state} AND seq < ?2"
        )
    };
    let lists: Vec<_> = match wanted.state {
        Some(_) => vec![of_state("?3".to_owned())],
        None => EventState::ALL.iter().map(|state| of_state(number(*state).to_string())).collect(),
    };
    format!("{} ORDER BY 1 DESC LIMIT ?6", lists.join(" UNION ALL "))
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

/// Each walks an index, and no further than to a limit. Without the index's name SQLite looks at everything that has not ended.
const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM {}inbox_events WHERE consumer = ? AND state = ? LIMIT ?)";
const OLDEST: &str =
    "SELECT min(accepted_at) FROM {}inbox_events INDEXED BY {}inbox_events_waiting WHERE consumer = ? AND state <= 1";

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::{COUNT, OLDEST, statement};
    use crate::{
        inbox::{EventState, InboxQuery},
        store::sqlite::inbox::schema::INBOX,
    };

    /// How SQLite goes about statements, step by step.
    async fn plans(statements: &[String]) -> Vec<Vec<String>> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for statement in (INBOX.migrations)("").into_iter().flat_map(|migration| migration.statements) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let mut plans = Vec::new();
        for statement in statements {
            let explain = format!("EXPLAIN QUERY PLAN {}", statement.replace("{}", ""));
            let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
            plans.push(plan.iter().map(|row| row.get("detail")).collect());
        }
        plans
    }

    #[tokio::test]
    async fn figures_are_read_from_indexes() {
        let bounds = ["inbox_events_state (consumer=? AND state=?)", "inbox_events_waiting (consumer=?)"];
        for (plan, bound) in plans(&[COUNT.to_owned(), OLDEST.to_owned()]).await.iter().zip(bounds) {
            assert!(plan.iter().any(|step| step.contains(bound)), "{plan:?}");
        }
    }

    #[tokio::test]
    async fn a_page_of_each_list_is_found_by_all_that_is_asked_for() {
        let (mut statements, mut bounds) = (Vec::new(), Vec::new());
        for (tenant, event_type, found_by) in [
            (false, false, "inbox_events_state (consumer=? AND state=? AND seq<?)"),
            (false, true, "inbox_events_type (consumer=? AND event_type=? AND state=? AND seq<?)"),
            (true, false, "inbox_events_tenant (consumer=? AND tenant=? AND state=? AND seq<?)"),
            (true, true, "inbox_events_tenant_type (consumer=? AND tenant=? AND event_type=? AND state=? AND seq<?)"),
        ] {
            for state in [None, Some(EventState::Done)] {
                let query = InboxQuery {
                    state,
                    tenant: tenant.then(|| "acme".into()),
                    event_type: event_type.then(|| "order.paid".into()),
                    ..InboxQuery::default()
                };
                statements.push(statement(&query));
                bounds.push((found_by, if state.is_some() { 1 } else { EventState::ALL.len() }));
            }
        }
        for (plan, (found_by, lists)) in plans(&statements).await.iter().zip(bounds) {
            assert_eq!(plan.iter().filter(|step| step.contains(found_by)).count(), lists, "{found_by}: {plan:#?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{plan:#?}");
        }
    }
}
