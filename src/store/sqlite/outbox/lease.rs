use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use sqlx::{Row, SqliteConnection};

use super::{
    clock,
    endpoints::{self, Found},
    moves,
    session::query,
};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    observe,
    send::{
        DeliveryState, EndpointId, FAILURES_TO_REST, IN_FLIGHT, LeaseRequest, Leases, Message,
        policy::{
            Due, MESSAGE_RESTS, MOST_DUE, MOST_PARKED, PARKED_DUE, Served, Shares, Waiting, full_tenants, lease_end,
            serve,
        },
    },
    store::{
        columns::{self, Columns, count, seq},
        sqlite::error::store_error,
    },
};

const CONTEXT: &str = "lease deliveries";

/// Looks whether there is something to lease, without a lock: most looks of an idle worker find nothing. Returns the
/// answer if there is nothing.
pub(super) async fn look(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &LeaseRequest,
    now: Millis,
) -> Result<Option<Leases>, StoreError> {
    let seen = see(connection, prefix, request, now).await?;
    if seen.candidates.is_empty() && seen.idle.is_empty() && !clock::is_late(connection, prefix, now).await? {
        return Ok(Some(Leases::new(Vec::new(), next_due(connection, prefix, now).await?)));
    }
    Ok(None)
}

/// Does what `lease` does inside a transaction that holds the write lock.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &LeaseRequest,
    now: Millis,
) -> Result<Leases, StoreError> {
    clock::end_late(connection, prefix, now).await?;
    let Seen { candidates, idle } = see(connection, prefix, request, now).await?;
    if !idle.is_empty() {
        move_on(connection, prefix, &idle).await?;
    }
    let mut shares = Shares::new(request, candidates.iter().map(|candidate| candidate.proven));
    let (mut leased, mut has_served) = (Vec::new(), false);
    let mut contents = HashMap::new();
    for candidate in &candidates {
        let Candidate { proven, tenant, .. } = candidate;
        if shares.is_used_up() {
            break;
        }
        let share = shares.next(*proven, tenant);
        if share == 0 {
            continue;
        }
        let Some(waiting) = gather(connection, prefix, candidate, now).await? else { continue };
        let Some(served) = serve(waiting, share, request.lease, now) else { continue };
        shares.took(u32::try_from(served.leased.len()).unwrap_or(u32::MAX), *proven, tenant);
        let taken = take(connection, prefix, request, &served, now).await?;
        note(connection, prefix, candidate, &served, now).await?;
        has_served = true;
        for (due, message) in taken {
            let content = match contents.entry(message) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(content(connection, prefix, message).await?),
            };
            match content {
                Some(message) => leased.push(due.lease(message.clone(), served.endpoint.clone(), now)),
                None => put_back(connection, prefix, &due, after(now, MESSAGE_RESTS)).await?,
            }
        }
    }
    let next_due = match (leased.is_empty(), has_served) {
        (true, false) => next_due(connection, prefix, now).await?,
        // More deliveries may be due after those that were cancelled or parked.
        (true, true) => Some(Duration::ZERO),
        (false, _) => None,
    };
    Ok(Leases::new(leased, next_due))
}

/// Collects the waiting deliveries of an endpoint, if one of them may be leased now.
async fn gather(
    connection: &mut SqliteConnection,
    prefix: &str,
    candidate: &Candidate,
    now: Millis,
) -> Result<Option<Waiting>, StoreError> {
    let id = candidate.id;
    let (endpoint, health) = match endpoints::find(connection, prefix, id).await? {
        Found::Missing => return Ok(None),
        Found::Readable(endpoint, health) => (*endpoint, health),
        Found::Unreadable { cause, .. } => {
            endpoints::rest_unreadable(connection, prefix, id, &cause, now).await?;
            return Ok(None);
        }
    };
    let mut waiting = Waiting::new(endpoint, health);
    waiting.in_flight = in_flight(connection, prefix, id, now).await?;
    if health.room(waiting.in_flight, waiting.endpoint.settings.rate_limit, now) == 0 {
        return Ok(None);
    }
    if health.in_order {
        // Deliveries that are still to be moved go before those that are dispatched in the meantime.
        if moves::of_endpoint(connection, prefix, id).await? == Some(DeliveryState::Pending) {
            return Ok(None);
        }
        take_back(connection, prefix, id, now).await?;
    }
    waiting.due = due(connection, prefix, id, now, MOST_DUE).await?;
    if waiting.due.iter().any(|due| due.is_behind) {
        waiting.due = due(connection, prefix, id, now, MOST_PARKED).await?;
    }
    waiting.later = later(connection, prefix, id, now).await?;
    waiting.look_at = candidate.look_at;
    Ok(Some(waiting))
}

/// Reads the endpoints that may have something to lease, along an index of when they are to be looked at: those that
/// merely wait for their time are not read. The column `found` is 0 if something is due and there is room for it, 1 if
/// there is no room, and 2 if nothing may be leased now. The limit of each kind applies to the proven endpoints and to
/// the others separately, so that neither take the places of the others.
const SEE: &str = "SELECT id, proven, found, look_at, tenant FROM (\
     SELECT e.id, e.proven, e.tenant, e.found, e.look_at, e.served_at, \
     row_number() OVER (PARTITION BY e.found, e.proven ORDER BY e.served_at, e.id) AS place FROM (\
     SELECT e.id, e.proven, e.tenant, e.look_at, e.served_at, CASE \
     WHEN e.ready_at > ?1 OR NOT EXISTS (\
     SELECT 1 FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at <= ?1) THEN 2 \
     WHEN e.tenant IN (SELECT value FROM json_each(?6)) \
     OR (e.proven = 0 AND e.tenant IN (SELECT value FROM json_each(?7))) THEN 1 \
     WHEN (SELECT count(*) FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > ?1) \
     >= CASE WHEN e.failures >= ?2 OR e.in_order <> 0 THEN 1 ELSE ?3 END THEN 1 ELSE 0 END AS found \
     FROM {}outbox_endpoints e INDEXED BY {}outbox_endpoints_look \
     WHERE e.disabled IS NULL AND e.look_at <= ?1 ORDER BY e.look_at LIMIT ?4) e) \
     WHERE found <> 1 AND place <= ?5 ORDER BY served_at, id";

/// The result of a look.
struct Seen {
    /// The endpoints that have something due and room for it, those that waited longest first. One without room is left
    /// out here already, otherwise many of them would take the places of all others for as long as they are slow.
    candidates: Vec<Candidate>,
    /// The endpoints to look at later.
    idle: Vec<String>,
}

struct Candidate {
    id: EndpointId,
    proven: bool,
    tenant: String,
    look_at: Option<Millis>,
}

async fn see(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &LeaseRequest,
    now: Millis,
) -> Result<Seen, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let list = |tenants: &[&str]| serde_json::to_string(tenants).expect("texts can be written as JSON");
    let [full, full_of_unproven] = full_tenants(request);
    let rows = query(prefix, SEE)
        .bind(now)
        .bind(i64::from(FAILURES_TO_REST))
        .bind(i64::from(IN_FLIGHT))
        .bind(MOST_SEEN)
        .bind(MOST_ENDPOINTS)
        .bind(list(&full))
        .bind(list(&full_of_unproven))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let mut seen = Seen { candidates: Vec::new(), idle: Vec::new() };
    for row in &rows {
        let id: &str = row.try_get(0).map_err(failed)?;
        if row.try_get::<i64, _>(2).map_err(failed)? != 0 {
            seen.idle.push(id.to_owned());
            continue;
        }
        let id = match id.parse() {
            Ok(id) => id,
            Err(cause) => {
                observe::unreadable("endpoint", &id, &cause);
                continue;
            }
        };
        seen.candidates.push(Candidate {
            id,
            proven: row.try_get::<i64, _>(1).map_err(failed)? != 0,
            tenant: row.try_get(4).map_err(failed)?,
            look_at: row.try_get(3).map_err(failed)?,
        });
    }
    Ok(seen)
}

/// Moves the time at which endpoints are looked at to when something of them may be leased.
const MOVE_ON: &str = "UPDATE {}outbox_endpoints SET look_at = (\
     SELECT max(d.due_at, {}outbox_endpoints.ready_at) FROM {}outbox_deliveries d \
     WHERE d.endpoint = {}outbox_endpoints.id AND d.state IN (0, 1) ORDER BY d.due_at LIMIT 1) \
     WHERE id IN (SELECT value FROM json_each(?))";

async fn move_on(connection: &mut SqliteConnection, prefix: &str, idle: &[String]) -> Result<(), StoreError> {
    query(prefix, MOVE_ON)
        .bind(serde_json::to_string(idle).expect("texts can be written as JSON"))
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| store_error(CONTEXT, error))
}

async fn look_next(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    at: Option<Millis>,
) -> Result<(), StoreError> {
    query(prefix, "UPDATE {}outbox_endpoints SET look_at = ? WHERE id = ?")
        .bind(at)
        .bind(id.to_string())
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| store_error(CONTEXT, error))
}

/// When the next delivery of an endpoint becomes due that is not due yet.
const LATER: &str = "SELECT d.due_at FROM {}outbox_deliveries d \
     WHERE d.endpoint = ? AND d.state IN (0, 1) AND d.due_at > ? ORDER BY d.due_at LIMIT 1";

async fn later(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    now: Millis,
) -> Result<Option<Millis>, StoreError> {
    let row = query(prefix, LATER).bind(id.to_string()).bind(now).fetch_optional(connection).await;
    row.and_then(|row| row.map(|row| row.try_get(0)).transpose()).map_err(|error| store_error(CONTEXT, error))
}

/// The first deliveries of an endpoint that are due. Whether a message has its payload is in the head of its row.
const DUE: &str = "SELECT d.seq, d.attempt, d.due_at, d.created_at, d.resent_after, m.created_at AS dispatched_at, \
     m.payload IS NOT NULL AS has_content, d.order_key, \
     d.order_key IS NOT NULL AND EXISTS (\
     SELECT 1 FROM {}outbox_deliveries o INDEXED BY {}outbox_deliveries_keys WHERE o.endpoint = d.endpoint \
     AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state IN (0, 1, 2) AND o.seq < d.seq) AS is_behind, \
     d.order_key IS NOT NULL AND EXISTS (\
     SELECT 1 FROM {}outbox_deliveries o INDEXED BY {}outbox_deliveries_sending_keys WHERE o.endpoint = d.endpoint \
     AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state = 1 AND o.due_at > ?2 AND o.seq <> d.seq) AS is_beside \
     FROM {}outbox_deliveries d LEFT JOIN {}outbox_messages m ON m.seq = d.message \
     WHERE d.endpoint = ?1 AND d.state IN (0, 1) AND d.due_at <= ?2 ORDER BY d.due_at, d.seq LIMIT ?3";

async fn due(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    now: Millis,
    most: u32,
) -> Result<Vec<Due>, StoreError> {
    let rows = query(prefix, DUE).bind(id.to_string()).bind(now).bind(i64::from(most)).fetch_all(connection).await;
    rows.and_then(|rows| rows.iter().map(columns::due).collect()).map_err(|error| store_error(CONTEXT, error))
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
    row.and_then(|row| row.try_get(0)).map(count).map_err(|error| store_error(CONTEXT, error))
}

/// Returns deliveries whose worker died to their places, if the endpoint gets them in order.
async fn take_back(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    now: Millis,
) -> Result<(), StoreError> {
    query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = 0, token = NULL, due_at = created_at \
         WHERE endpoint = ? AND state = 1 AND due_at <= ?",
    )
    .bind(id.to_string())
    .bind(now)
    .execute(connection)
    .await
    .map(drop)
    .map_err(|error| store_error(CONTEXT, error))
}

/// Leases what is served of an endpoint, and cancels what has lost its content. Returns what is leased, with the numbers of its
/// messages.
async fn take(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &LeaseRequest,
    served: &Served,
    now: Millis,
) -> Result<Vec<(Due, i64)>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    if !served.gone.is_empty() {
        query(
            prefix,
            "UPDATE {}outbox_deliveries SET state = 6, due_at = ?, token = NULL \
             WHERE seq IN (SELECT value FROM json_each(?))",
        )
        .bind(now)
        .bind(numbers(&served.gone))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    if !served.parked.is_empty() {
        query(
            prefix,
            "UPDATE {}outbox_deliveries SET state = 0, due_at = ?, token = NULL \
             WHERE seq IN (SELECT value FROM json_each(?))",
        )
        .bind(PARKED_DUE)
        .bind(numbers(&served.parked))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    if served.leased.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = 1, token = ?, attempt = attempt + 1, due_at = ?, epoch = ? \
         WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq, message",
    )
    .bind(request.token.to_bytes().to_vec())
    .bind(lease_end(request.lease, now))
    .bind(served.health.epoch)
    .bind(numbers(&served.leased))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let messages = rows.iter().map(|row| Ok((row.int("seq")?, row.int("message")?)));
    let messages = messages.collect::<Result<HashMap<_, _>, _>>().map_err(failed)?;
    Ok(served.leased.iter().filter_map(|due| Some((due.clone(), *messages.get(&seq(due.id))?))).collect())
}

/// The numbers of deliveries, as a list for a statement.
fn numbers(deliveries: &[Due]) -> String {
    let numbers: Vec<_> = deliveries.iter().map(|due| due.id.to_u64()).collect();
    serde_json::to_string(&numbers).expect("numbers can be written as JSON")
}

/// Records the health of an endpoint that was served, and when it is looked at next.
async fn note(
    connection: &mut SqliteConnection,
    prefix: &str,
    candidate: &Candidate,
    served: &Served,
    now: Millis,
) -> Result<(), StoreError> {
    endpoints::note(connection, prefix, &served.endpoint, &served.health, Some(now)).await?;
    if served.look_at != candidate.look_at {
        look_next(connection, prefix, candidate.id, served.look_at).await?;
    }
    Ok(())
}

/// Takes back the lease of a delivery whose message cannot be read.
async fn put_back(
    connection: &mut SqliteConnection,
    prefix: &str,
    due: &Due,
    due_at: Millis,
) -> Result<(), StoreError> {
    query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = 0, due_at = ?, token = NULL, attempt = attempt - 1 WHERE seq = ?",
    )
    .bind(due_at)
    .bind(seq(due.id))
    .execute(connection)
    .await
    .map(drop)
    .map_err(|error| store_error(CONTEXT, error))
}

/// Reads a message, which has its payload. Returns `None` if it cannot be read.
async fn content(connection: &mut SqliteConnection, prefix: &str, message: i64) -> Result<Option<Message>, StoreError> {
    let row = query(
        prefix,
        "SELECT tenant, id, event_type, version, labels, order_key, payload, happened_at FROM {}outbox_messages WHERE seq = ?",
    )
    .bind(message)
    .fetch_one(connection)
    .await;
    let content = row.and_then(|row| columns::content(&row, row.try_get("payload")?));
    content.map_err(|error| store_error(CONTEXT, error))
}

/// When an endpoint is to be looked at next, and when the next lease ends.
const NEXT_DUE: [&str; 2] = [
    "SELECT min(look_at) FROM {}outbox_endpoints WHERE disabled IS NULL AND look_at > ?1",
    "SELECT min(due_at) FROM {}outbox_deliveries WHERE state = 1 AND due_at > ?1",
];

async fn next_due(
    connection: &mut SqliteConnection,
    prefix: &str,
    now: Millis,
) -> Result<Option<Duration>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let mut next = None;
    for statement in NEXT_DUE {
        let row = query(prefix, statement).bind(now).fetch_optional(&mut *connection).await.map_err(failed)?;
        let at: Option<i64> = row.map_or(Ok(None), |row| row.try_get(0)).map_err(failed)?;
        next = next.into_iter().chain(at).min();
    }
    Ok(next.map(|at| between(now, at)))
}

fn between(from: Millis, to: Millis) -> Duration {
    Duration::from_millis(u64::try_from(to - from).unwrap_or_default())
}

/// How many endpoints one look reads of those that may have something to lease.
const MOST_SEEN: i64 = 10_000;

/// How many endpoints one call looks at of those that are proven, and of the others.
const MOST_ENDPOINTS: i64 = 256;

#[cfg(test)]
mod tests {
    use super::{DUE, LATER, MOVE_ON, NEXT_DUE, SEE};
    use crate::store::sqlite::outbox::schema::tests::plans;

    /// A worker looks many times a second, so the cost of a look must not depend on deliveries that are not due.
    #[tokio::test]
    async fn no_look_reads_all_endpoints_or_deliveries() {
        for plan in plans(&[SEE, MOVE_ON, DUE, LATER, NEXT_DUE[0], NEXT_DUE[1]]).await {
            let of_few = |step: &str| {
                step.starts_with("SCAN (subquery-") || step.starts_with("SCAN json_each") || step == "SCAN e"
            };
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:?}");
        }
    }
}
