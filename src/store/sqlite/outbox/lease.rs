use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::value::RawValue;
use sqlx::{Connection, Row, SqliteConnection};

use super::{Session, begin, corrupt, endpoints, query};
use crate::{
    error::StoreError,
    send::{
        EndpointId, EndpointRecord, FAILURES_TO_REST, IN_FLIGHT, LeaseToken, LeasedDelivery, Leases, Message, OutboxId,
    },
    store::{
        outbox::to_time,
        record::{Millis, after},
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "lease deliveries";

/// Looks without a lock first: most looks of an idle worker find nothing.
pub(super) async fn lease(
    session: &mut Session<'_>,
    token: LeaseToken,
    lease: Duration,
    limit: u32,
) -> Result<Leases, StoreError> {
    let (now, prefix, clock) = (session.now(), session.prefix, session.setup.clock.clone());
    if candidates(&mut session.connection, prefix, now).await?.is_empty() {
        return Ok(Leases::new(Vec::new(), next_due(&mut session.connection, prefix, now).await?));
    }

    let mut tx = begin!(session, CONTEXT);
    // Time may have passed while others held the lock, and they may have leased.
    let now = clock.now();
    let candidates = candidates(&mut tx, prefix, now).await?;
    let mut leased = Vec::new();
    let mut messages = HashMap::new();
    for (index, id) in candidates.iter().enumerate() {
        let others = u32::try_from(candidates.len() - index).unwrap_or(u32::MAX);
        let left = limit.saturating_sub(u32::try_from(leased.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let Some((endpoint, health)) = endpoints::find(&mut tx, prefix, *id).await? else { continue };
        let in_flight = in_flight(&mut tx, prefix, *id, now).await?;
        // An even share of what the worker has room for; what one does not use is left to those after it.
        let room = health.room(in_flight).min(left.div_ceil(others));
        if room > 0 {
            let end = after(now, lease);
            let endpoint = Arc::new(endpoint);
            take(&mut tx, prefix, &endpoint, token, (now, end), room, &mut messages, &mut leased).await?;
        }
    }
    tx.commit().await.map_err(|error| store_error(CONTEXT, error))?;
    let next_due = match leased.is_empty() {
        true => next_due(&mut session.connection, prefix, now).await?,
        false => None,
    };
    Ok(Leases::new(leased, next_due))
}

/// Steps from one endpoint that has something to do to the next, along an index of these alone: however many endpoints there
/// are and have nothing to do, they cost nothing.
const CANDIDATES: &str = "WITH RECURSIVE active (id) AS (\
     SELECT (SELECT min(endpoint) FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_active WHERE state IN (0, 1)) \
     UNION ALL SELECT (SELECT min(endpoint) FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_active \
     WHERE state IN (0, 1) AND endpoint > active.id) FROM active WHERE active.id IS NOT NULL) \
     SELECT e.id FROM active CROSS JOIN {}outbox_endpoints e ON e.id = active.id \
     WHERE e.disabled IS NULL AND e.rests_until <= ? AND EXISTS (\
     SELECT 1 FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at <= ?) \
     AND (SELECT count(*) FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > ?) \
     < CASE WHEN e.failures >= ? THEN 1 ELSE ? END \
     ORDER BY e.served_at, e.id LIMIT ?";

/// The endpoints that have something due and room for it, those that waited longest first. One without room is left out here
/// already, or many of them would stand before all others for as long as they are slow.
async fn candidates(
    connection: &mut SqliteConnection,
    prefix: &str,
    now: Millis,
) -> Result<Vec<EndpointId>, StoreError> {
    let rows = query(prefix, CANDIDATES)
        .bind(now)
        .bind(now)
        .bind(now)
        .bind(i64::from(FAILURES_TO_REST))
        .bind(i64::from(IN_FLIGHT))
        .bind(MOST_ENDPOINTS)
        .fetch_all(connection)
        .await
        .map_err(|error| store_error(CONTEXT, error))?;
    rows.iter()
        .map(|row| {
            let id: &str = row.try_get(0).map_err(|error| store_error(CONTEXT, error))?;
            id.parse().map_err(|_| corrupt("an endpoint's id is none"))
        })
        .collect()
}

async fn in_flight(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    now: Millis,
) -> Result<u32, StoreError> {
    let row = query(prefix, "SELECT count(*) FROM {}outbox_deliveries WHERE endpoint = ? AND state = 1 AND due_at > ?")
        .bind(id.to_string())
        .bind(now)
        .fetch_one(connection)
        .await;
    let count = row.and_then(|row| row.try_get::<i64, _>(0)).map_err(|error| store_error(CONTEXT, error))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

#[allow(clippy::too_many_arguments)] // One step of `lease`, cut out for its length.
async fn take(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: &Arc<EndpointRecord>,
    token: LeaseToken,
    (now, end): (Millis, Millis),
    room: u32,
    messages: &mut HashMap<i64, Option<Message>>,
    leased: &mut Vec<LeasedDelivery>,
) -> Result<(), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let rows = query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = 1, token = ?, attempt = attempt + 1, due_at = ? WHERE seq IN (\
         SELECT seq FROM {}outbox_deliveries WHERE endpoint = ? AND state IN (0, 1) AND due_at <= ? \
         ORDER BY due_at, seq LIMIT ?) RETURNING seq, message, attempt",
    )
    .bind(token.to_bytes().to_vec())
    .bind(end)
    .bind(endpoint.id.to_string())
    .bind(now)
    .bind(i64::from(room))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    query(prefix, "UPDATE {}outbox_endpoints SET served_at = ? WHERE id = ?")
        .bind(now)
        .bind(endpoint.id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;

    for row in rows {
        let seq: i64 = row.try_get(0).map_err(failed)?;
        let number: i64 = row.try_get(1).map_err(failed)?;
        let attempt: i64 = row.try_get(2).map_err(failed)?;
        if let std::collections::hash_map::Entry::Vacant(entry) = messages.entry(number) {
            entry.insert(message(connection, prefix, number).await?);
        }
        // One that cannot be read stays leased and comes back, and is in nobody's way but its endpoint's.
        let Some(Some(message)) = messages.get(&number).cloned() else { continue };
        leased.push(LeasedDelivery::new(
            OutboxId::from_u64(u64::try_from(seq).unwrap_or_default()),
            u32::try_from(attempt).unwrap_or(u32::MAX),
            message,
            endpoint.clone(),
        ));
    }
    Ok(())
}

async fn message(connection: &mut SqliteConnection, prefix: &str, seq: i64) -> Result<Option<Message>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let row = query(
        prefix,
        "SELECT tenant, id, event_type, version, payload, happened_at FROM {}outbox_messages WHERE seq = ?",
    )
    .bind(seq)
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let tenant: String = row.try_get(0).map_err(failed)?;
    let id: String = row.try_get(1).map_err(failed)?;
    let event_type: String = row.try_get(2).map_err(failed)?;
    let version: Option<String> = row.try_get(3).map_err(failed)?;
    let payload: Option<String> = row.try_get(4).map_err(failed)?;
    let happened_at: i64 = row.try_get(5).map_err(failed)?;

    let read = || {
        let payload = RawValue::from_string(payload?).ok()?;
        let message = Message::new(event_type, &payload).ok()?.id(id.parse().ok()?).at(to_time(happened_at));
        let message = if tenant.is_empty() { message } else { message.tenant(tenant) };
        Some(match version {
            Some(version) => message.version(version),
            None => message,
        })
    };
    Ok(read())
}

async fn next_due(
    connection: &mut SqliteConnection,
    prefix: &str,
    now: Millis,
) -> Result<Option<Duration>, StoreError> {
    let row = query(prefix, "SELECT min(due_at) FROM {}outbox_deliveries WHERE state IN (0, 1) AND due_at > ?")
        .bind(now)
        .fetch_one(connection)
        .await;
    let due: Option<i64> = row.and_then(|row| row.try_get(0)).map_err(|error| store_error(CONTEXT, error))?;
    Ok(due.map(|due| Duration::from_millis(u64::try_from(due - now).unwrap_or_default())))
}

/// How many endpoints one call looks at.
const MOST_ENDPOINTS: i64 = 256;

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::CANDIDATES;
    use crate::store::sqlite::outbox::PARTS;

    /// A worker looks many times in a second.
    #[tokio::test]
    async fn no_look_reads_all_endpoints_or_deliveries() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for migration in PARTS.iter().flat_map(|part| (part.migrations)("")) {
            for statement in migration.statements {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
        }
        let explain = format!("EXPLAIN QUERY PLAN {}", CANDIDATES.replace("{}", ""));
        let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let reads_all = |step: &str| step.starts_with("SCAN ") && !matches!(step, "SCAN active" | "SCAN CONSTANT ROW");
        assert!(!plan.iter().any(|step| reads_all(step)), "{plan:?}");
    }
}
