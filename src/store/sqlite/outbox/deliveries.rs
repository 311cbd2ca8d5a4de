use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sqlx::{Connection, Row, sqlite::SqliteRow};

use super::{
    Session, begin, corrupt, endpoints, query,
    schema::{HELD, PENDING, number, state},
};
use crate::{
    error::StoreError,
    send::{AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, OutboxId},
    store::{
        outbox::{from_time, to_time, wants},
        sqlite::error::store_error,
    },
};

const SELECT: &str = "SELECT d.seq, m.id, m.event_type, d.endpoint, d.state, d.attempt, d.created_at, d.due_at, m.tenant \
                      FROM {}outbox_deliveries d JOIN {}outbox_messages m ON m.seq = d.message";

pub(super) async fn get(session: &mut Session<'_>, id: OutboxId) -> Result<Option<DeliveryRecord>, StoreError> {
    let row = query(session.prefix, &format!("{SELECT} WHERE d.seq = ?"))
        .bind(seq(id))
        .fetch_optional(&mut *session.connection)
        .await
        .map_err(|error| store_error("read a delivery", error))?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn list(
    session: &mut Session<'_>,
    tenant: &str,
    wanted: &DeliveryQuery,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let statement = statement(wanted);
    let mut rows = query(session.prefix, &statement).bind(tenant.to_owned()).bind(wanted.before.map_or(i64::MAX, seq));
    if let Some(endpoint) = wanted.endpoint {
        rows = rows.bind(endpoint.to_string());
    }
    if let Some(state) = wanted.state {
        rows = rows.bind(number(state));
    }
    if let Some(message) = &wanted.message {
        rows = rows.bind(message.clone());
    }
    let rows = rows
        .bind(i64::from(limit))
        .fetch_all(&mut *session.connection)
        .await
        .map_err(|error| store_error("list deliveries", error))?;
    rows.iter().map(read).collect()
}

/// The same few texts again and again, so that each is prepared once.
///
/// A tenant's deliveries are walked from the newest until there are enough, or all others would wait while they are sorted:
/// the `+` keeps SQLite from an index that is not in their order. Those of one message are few.
fn statement(wanted: &DeliveryQuery) -> String {
    let tenant = if wanted.message.is_some() { "m.tenant" } else { "d.tenant" };
    let mut statement = format!("{SELECT} WHERE {tenant} = ? AND d.seq < ?");
    for (is_there, condition) in [
        (wanted.endpoint.is_some(), " AND +d.endpoint = ?"),
        (wanted.state.is_some(), " AND +d.state = ?"),
        (wanted.message.is_some(), " AND m.id = ?"),
    ] {
        if is_there {
            statement.push_str(condition);
        }
    }
    statement.push_str(" ORDER BY d.seq DESC LIMIT ?");
    statement
}

pub(super) async fn attempts(session: &mut Session<'_>, id: OutboxId) -> Result<Vec<AttemptRecord>, StoreError> {
    let undecoded = |error: sqlx::Error| corrupt("a column is of another type").with_source(error);
    let rows = query(
        session.prefix,
        "SELECT attempt, ended_at, status, error, millis, answer FROM {}outbox_attempts WHERE delivery = ? ORDER BY seq",
    )
    .bind(seq(id))
    .fetch_all(&mut *session.connection)
    .await
    .map_err(|error| store_error("read attempts", error))?;
    rows.iter()
        .map(|row| {
            let attempt: i64 = row.try_get(0).map_err(undecoded)?;
            let status: Option<i64> = row.try_get(2).map_err(undecoded)?;
            let millis: i64 = row.try_get(4).map_err(undecoded)?;
            Ok(AttemptRecord {
                attempt: u32::try_from(attempt).map_err(|_| corrupt("a count is out of range"))?,
                ended_at: to_time(row.try_get(1).map_err(undecoded)?),
                status: status.and_then(|status| u16::try_from(status).ok()),
                error: row.try_get(3).map_err(undecoded)?,
                duration: Duration::from_millis(u64::try_from(millis).unwrap_or_default()),
                answer: Bytes::from(row.try_get::<Vec<u8>, _>(5).map_err(undecoded)?),
            })
        })
        .collect()
}

pub(super) async fn resend(session: &mut Session<'_>, id: OutboxId) -> Result<bool, StoreError> {
    let failed = |error| store_error("resend a delivery", error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, "resend a delivery");
    // Without its endpoint the state would be no number, and the row is not touched.
    let done = query(
        prefix,
        "UPDATE {}outbox_deliveries AS d SET attempt = 0, due_at = ?, state = (\
         SELECT CASE WHEN e.disabled IS NULL THEN 0 ELSE 2 END FROM {}outbox_endpoints e WHERE e.id = d.endpoint) \
         WHERE d.seq = ? AND d.state <> 1 AND EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = d.endpoint) \
         AND EXISTS (SELECT 1 FROM {}outbox_messages m WHERE m.seq = d.message AND m.payload IS NOT NULL)",
    )
    .bind(now)
    .bind(seq(id))
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn cancel(session: &mut Session<'_>, id: OutboxId) -> Result<bool, StoreError> {
    let failed = |error| store_error("cancel a delivery", error);
    let prefix = session.prefix;
    let mut tx = begin!(session, "cancel a delivery");
    let done = query(prefix, "UPDATE {}outbox_deliveries SET state = ? WHERE seq = ? AND state IN (0, 2)")
        .bind(number(DeliveryState::Cancelled))
        .bind(seq(id))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn recover(session: &mut Session<'_>, id: EndpointId, since: SystemTime) -> Result<u64, StoreError> {
    let failed = |error| store_error("recover an endpoint", error);
    let (now, prefix, since) = (session.now(), session.prefix, from_time(since));
    let mut tx = begin!(session, "recover an endpoint");
    let Some((endpoint, _)) = endpoints::find(&mut tx, prefix, id).await? else { return Ok(0) };
    let state = if endpoint.disabled.is_some() { HELD } else { PENDING };

    let again = query(
        prefix,
        "UPDATE {}outbox_deliveries AS d SET state = ?, attempt = 0, due_at = ? \
         WHERE d.endpoint = ? AND d.state IN (4, 5, 6) AND EXISTS (\
         SELECT 1 FROM {}outbox_messages m WHERE m.seq = d.message AND m.created_at >= ? AND m.payload IS NOT NULL)",
    )
    .bind(state)
    .bind(now)
    .bind(id.to_string())
    .bind(since)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;

    let missed = query(
        prefix,
        "SELECT m.seq, m.event_type FROM {}outbox_messages m \
         WHERE m.created_at >= ? AND m.tenant = ? AND m.payload IS NOT NULL AND NOT EXISTS (\
         SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq AND d.endpoint = ?)",
    )
    .bind(since)
    .bind(endpoint.tenant.to_string())
    .bind(id.to_string())
    .fetch_all(&mut *tx)
    .await
    .map_err(failed)?;
    let mut wanted = Vec::new();
    for row in &missed {
        let patterns = endpoint.settings.events.iter().map(String::as_str);
        if wants(patterns, row.try_get(1).map_err(failed)?) {
            wanted.push(row.try_get::<i64, _>(0).map_err(failed)?);
        }
    }
    let list = serde_json::to_string(&wanted).expect("numbers can be written as JSON");
    query(
        prefix,
        "INSERT INTO {}outbox_deliveries (message, tenant, endpoint, state, due_at, created_at) \
         SELECT value, ?, ?, ?, ?, ? FROM json_each(?)",
    )
    .bind(endpoint.tenant.to_string())
    .bind(id.to_string())
    .bind(state)
    .bind(now)
    .bind(now)
    .bind(list)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(again.rows_affected() + wanted.len() as u64)
}

fn read(row: &SqliteRow) -> Result<DeliveryRecord, StoreError> {
    let undecoded = |error: sqlx::Error| corrupt("a column is of another type").with_source(error);
    let number = |index: usize| row.try_get::<i64, _>(index).map_err(undecoded);
    let endpoint: &str = row.try_get(3).map_err(undecoded)?;
    let state = state(number(4)?).ok_or_else(|| corrupt("the state of a delivery is unknown"))?;
    Ok(DeliveryRecord {
        id: OutboxId::from_u64(u64::try_from(number(0)?).map_err(|_| corrupt("a delivery's id is none"))?),
        message: row.try_get(1).map_err(undecoded)?,
        event_type: row.try_get(2).map_err(undecoded)?,
        tenant: row.try_get::<&str, _>(8).map_err(undecoded)?.into(),
        endpoint: endpoint.parse().map_err(|_| corrupt("an endpoint's id is none"))?,
        state,
        attempt: u32::try_from(number(5)?).map_err(|_| corrupt("a count is out of range"))?,
        created_at: to_time(number(6)?),
        due_at: (state == DeliveryState::Pending).then_some(to_time(number(7)?)),
    })
}

fn seq(id: OutboxId) -> i64 {
    i64::try_from(id.to_u64()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::statement;
    use crate::{
        send::{DeliveryQuery, DeliveryState, EndpointId},
        store::sqlite::outbox::PARTS,
    };

    /// One connection serves the outbox, so a list that reads all there is would hold up every dispatch and every lease.
    #[tokio::test]
    async fn no_list_reads_and_sorts_all_there_is() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for migration in PARTS.iter().flat_map(|part| (part.migrations)("")) {
            for statement in migration.statements {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
        }
        for (endpoint, state) in [(false, false), (false, true), (true, false), (true, true)] {
            let wanted = DeliveryQuery {
                endpoint: endpoint.then(|| EndpointId::random().unwrap()),
                state: state.then_some(DeliveryState::Pending),
                ..DeliveryQuery::default()
            };
            let explain = format!("EXPLAIN QUERY PLAN {}", statement(&wanted).replace("{}", ""));
            let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{plan:?}");
        }
    }
}
