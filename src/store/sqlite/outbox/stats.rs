use std::{collections::HashMap, sync::Arc};

use sqlx::Row;

use super::{
    script::Filling,
    session::{Session, query},
};
use crate::{
    error::StoreError,
    send::{
        AttemptEnd, BACKLOG_COUNTED, Backlog, EndpointId, Scope, StatsCell,
        policy::{Counted, backlog},
    },
    store::sqlite::error::store_error,
};

/// Attempts that are counted together: how many there are of each tenant, endpoint and kind.
#[derive(Default)]
pub(super) struct Counts(HashMap<(Arc<str>, EndpointId, u32, i64, u8), i64>);

impl Counts {
    pub(super) fn add(&mut self, tenant: Arc<str>, endpoint: EndpointId, counted: Counted) {
        let kind = (tenant, endpoint, counted.hour, i64::from(counted.end.number()), counted.bucket);
        *self.0.entry(kind).or_default() += 1;
    }

    /// Binds the rows of [`COUNT`](super::sql::COUNT).
    pub(super) fn fill(self, filling: &mut Filling) {
        filling.rows(self.0, |row, count| {
            let (kind, count) = count.unzip();
            row.bind(kind.as_ref().map(|(tenant, ..)| tenant.clone()))
                .bind(kind.as_ref().map(|(_, _, hour, ..)| i64::from(*hour)))
                .bind(kind.as_ref().map(|(_, endpoint, ..)| endpoint.to_string()))
                .bind(kind.as_ref().map(|(.., ended, _)| *ended))
                .bind(kind.as_ref().map(|(.., bucket)| i64::from(*bucket)))
                .bind(count);
        });
    }
}

/// Whose: all, an endpoint's, a tenant's, or an endpoint's of a tenant.
const READ: [&str; 4] = [
    "SELECT hour, ended, bucket, sum(count) FROM {}outbox_stats \
     WHERE hour >= ?1 AND hour < ?2 GROUP BY hour, ended, bucket ORDER BY hour, ended, bucket",
    "SELECT hour, ended, bucket, sum(count) FROM {}outbox_stats \
     WHERE endpoint = ?3 AND hour >= ?1 AND hour < ?2 GROUP BY hour, ended, bucket ORDER BY hour, ended, bucket",
    "SELECT hour, ended, bucket, sum(count) FROM {}outbox_stats \
     WHERE tenant = ?3 AND hour >= ?1 AND hour < ?2 GROUP BY hour, ended, bucket ORDER BY hour, ended, bucket",
    "SELECT hour, ended, bucket, sum(count) FROM {}outbox_stats INDEXED BY {}outbox_stats_endpoint \
     WHERE endpoint = ?3 AND hour >= ?1 AND hour < ?2 AND tenant = ?4 \
     GROUP BY hour, ended, bucket ORDER BY hour, ended, bucket",
];

pub(super) async fn read(
    session: &mut Session<'_>,
    scope: &Scope,
    since: u32,
    until: u32,
) -> Result<Vec<StatsCell>, StoreError> {
    let failed = |error| store_error("read the counts of attempts", error);
    let statement = READ[usize::from(scope.endpoint.is_some()) | usize::from(scope.tenant.is_some()) << 1];
    let mut rows = query(session.prefix, statement).bind(i64::from(since)).bind(i64::from(until));
    if let Some(endpoint) = scope.endpoint {
        rows = rows.bind(endpoint.to_string());
    }
    if let Some(tenant) = &scope.tenant {
        rows = rows.bind(tenant.to_string());
    }
    let rows = rows.fetch_all(&mut *session.connection).await.map_err(failed)?;
    let mut cells = Vec::with_capacity(rows.len());
    for row in &rows {
        let number = |index| row.try_get::<i64, _>(index).map_err(failed);
        let (hour, ended, bucket, count) = (number(0)?, number(1)?, number(2)?, number(3)?);
        // This version ignores outcomes that only a newer version knows.
        let (Ok(hour), Ok(ended), Ok(bucket)) = (hour.try_into(), ended.try_into(), bucket.try_into()) else {
            continue;
        };
        if let Some(end) = AttemptEnd::from_number(ended) {
            cells.push(StatsCell::new(hour, end, bucket, count.unsigned_abs()));
        }
    }
    Ok(cells)
}

/// How many wait, for each scope. The counts end at a bound, so they cost no more where there is much.
const WAITING: [&str; 3] = [
    "SELECT count(*) FROM (SELECT 1 FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_waiting \
     WHERE state IN (0, 1) LIMIT ?1)",
    "SELECT count(*) FROM (SELECT 1 FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_waiting \
     WHERE endpoint = ?2 AND state IN (0, 1) LIMIT ?1)",
    "SELECT count(*) FROM (SELECT 1 FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_tenant \
     WHERE tenant = ?2 AND state IN (0, 1) LIMIT ?1)",
];

/// Since when something could have been leased, for each scope: one look at each endpoint of which something waits.
const READY: [&str; 3] = [
    "WITH RECURSIVE some (id, left) AS (\
     SELECT min(endpoint), ?1 FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_waiting WHERE state IN (0, 1) \
     UNION ALL SELECT (SELECT min(d.endpoint) FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_waiting \
     WHERE d.state IN (0, 1) AND d.endpoint > some.id), some.left - 1 FROM some WHERE some.id IS NOT NULL AND some.left > 0), \
     ready AS (SELECT max(e.ready_at, (\
     SELECT min(d.due_at) FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_waiting \
     WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at > 0)) AS at, e.served_at \
     FROM some CROSS JOIN {}outbox_endpoints e ON e.id = some.id WHERE e.disabled IS NULL) \
     SELECT min(at), min(max(at, served_at)) FROM ready",
    "WITH ready AS (SELECT max(e.ready_at, (\
     SELECT min(d.due_at) FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_waiting \
     WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at > 0)) AS at, e.served_at \
     FROM {}outbox_endpoints e WHERE e.id = ?2 AND e.disabled IS NULL AND ?1 = ?1) \
     SELECT min(at), min(max(at, served_at)) FROM ready",
    "WITH ready AS (SELECT max(e.ready_at, (\
     SELECT min(d.due_at) FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_waiting \
     WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at > 0)) AS at, e.served_at \
     FROM {}outbox_endpoints e WHERE e.tenant = ?2 AND e.disabled IS NULL AND ?1 = ?1) \
     SELECT min(at), min(max(at, served_at)) FROM ready",
];

const OWNER: &str = "SELECT 1 FROM {}outbox_endpoints WHERE id = ?1 AND tenant = ?2";

pub(super) async fn waiting(session: &mut Session<'_>, scope: &Scope) -> Result<Backlog, StoreError> {
    let failed = |error| store_error("read what waits", error);
    if let (Some(endpoint), Some(tenant)) = (scope.endpoint, &scope.tenant) {
        let owner = query(session.prefix, OWNER).bind(endpoint.to_string()).bind(tenant.to_string());
        if owner.fetch_optional(&mut *session.connection).await.map_err(failed)?.is_none() {
            return Ok(Backlog::default());
        }
    }
    let (index, value) = match (scope.endpoint, &scope.tenant) {
        (Some(endpoint), _) => (1, Some(endpoint.to_string())),
        (None, Some(tenant)) => (2, Some(tenant.to_string())),
        (None, None) => (0, None),
    };
    let (mut waiting, mut ready) = (query(session.prefix, WAITING[index]), query(session.prefix, READY[index]));
    waiting = waiting.bind(i64::from(BACKLOG_COUNTED));
    ready = ready.bind(i64::from(BACKLOG_COUNTED));
    if let Some(value) = value {
        (waiting, ready) = (waiting.bind(value.clone()), ready.bind(value));
    }
    let count = waiting.fetch_one(&mut *session.connection).await.map_err(failed)?;
    let ready = ready.fetch_one(&mut *session.connection).await.map_err(failed)?;
    let count: i64 = count.try_get(0).map_err(failed)?;
    let (at, unserved) = (ready.try_get(0).map_err(failed)?, ready.try_get(1).map_err(failed)?);
    Ok(backlog(count.unsigned_abs(), at, unserved, session.now()))
}

#[cfg(test)]
mod tests {
    use super::{OWNER, READ, READY, WAITING};
    use crate::store::sqlite::outbox::{schema::tests::plans, script::with_rows, sql::COUNT};

    #[tokio::test]
    async fn nothing_is_read_but_what_is_asked_for() {
        let count = with_rows(COUNT, 3);
        let mut statements = vec![&*count, OWNER];
        statements.extend(READ.into_iter().chain(WAITING).chain(READY));
        for (statement, plan) in statements.iter().zip(plans(&statements).await) {
            // What the statement has put together itself, and an index of nothing but what waits, up to a bound.
            let of_few = |step: &str| {
                step == "SCAN ready"
                    || step == "SCAN n"
                    || step.starts_with("SCAN some")
                    || step.starts_with("SCAN (")
                    || step.contains("CONSTANT ROW")
                    || (step.contains("outbox_deliveries_waiting") && *statement == WAITING[0])
            };
            let is_read_whole = |step: &String| step.starts_with("SCAN ") && !of_few(step);
            assert!(!plan.iter().any(is_read_whole), "{statement}\n{plan:#?}");
        }
    }
}
