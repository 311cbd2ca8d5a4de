use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use sqlx::{Row, SqliteConnection};

use super::{clock, count, endpoints, moves, query, schema::number};
use crate::{
    clock::{Millis, after},
    error::{StoreError, StoreErrorKind},
    observe,
    send::{
        DeliveryState, EndpointId, FAILURES_TO_REST, IN_FLIGHT, LONGEST_LEASE, LeaseRequest, LeasedDelivery, Leases,
        Message, OutboxId,
        policy::{
            Leased, Left, MESSAGE_RESTS, MOST_SEEN, Shares, StoredMessage, URGENT_DUE, full_tenants, look_at, round,
        },
    },
    store::sqlite::error::store_error,
};

const CONTEXT: &str = "lease deliveries";

/// Looks whether there is something to lease, without a lock: most looks of an idle worker find nothing. Gives the answer if
/// there is not.
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
    let mut leased = Vec::new();
    let mut messages: HashMap<i64, Content> = HashMap::new();
    for Candidate { id, proven, tenant, look_at: before } in &candidates {
        let (id, proven, before) = (*id, *proven, *before);
        if shares.is_used_up() {
            break;
        }
        let share = shares.next(proven, tenant);
        if share == 0 {
            continue;
        }
        let found = match endpoints::find(connection, prefix, id).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                endpoints::rest_unreadable(connection, prefix, id, &error, now).await?;
                continue;
            }
            found => found?,
        };
        let Some((endpoint, mut health)) = found else { continue };
        let limit = endpoint.settings.rate_limit;
        let room = health.room(in_flight(connection, prefix, id, now).await?, limit, now).min(share);
        if room == 0 {
            continue;
        }
        if health.in_order {
            // What is not moved yet goes before what is dispatched meanwhile.
            if moves::of_endpoint(connection, prefix, id).await? == Some(DeliveryState::Pending) {
                continue;
            }
            take_back(connection, prefix, id, now).await?;
        }
        let taken = take(connection, prefix, (id, health.epoch), request, room, now).await?;
        let attempts = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let first = taken.iter().filter(|taken| taken.attempt == 1).count();
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        let dispatched =
            taken.iter().filter(|taken| taken.attempt == 1 && taken.dispatched_at == Some(taken.created_at));
        let dispatched: Vec<_> = dispatched.map(|taken| taken.created_at).collect();
        // Where there was room for more, there is no more.
        let all = attempts < room || !is_due(connection, prefix, id, now).await?;
        let urgent_left = health.urgent && !all && is_due(connection, prefix, id, URGENT_DUE).await?;
        health.leased(Leased { attempts, first, dispatched: &dispatched, all, urgent_left }, limit, now);
        endpoints::note(connection, prefix, &endpoint, &health, Some(now)).await?;
        let left = Left { more: !all, later: later(connection, prefix, id, now).await? };
        let next = look_at(before, left, health.ready_at(limit), now);
        if next != before {
            look_next(connection, prefix, id, next).await?;
        }
        shares.took(attempts, proven, tenant);

        let endpoint = Arc::new(endpoint);
        for Taken { seq, message: number, attempt, resent_after, created_at, .. } in taken {
            let message = match messages.entry(number) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => entry.insert(message(connection, prefix, number).await?).clone(),
            };
            let message = match message {
                Content::Readable(message) => message,
                Content::Gone => {
                    put_back(connection, prefix, seq, DeliveryState::Cancelled, now).await?;
                    continue;
                }
                Content::Unreadable => {
                    let due = after(now, MESSAGE_RESTS);
                    put_back(connection, prefix, seq, DeliveryState::Pending, due).await?;
                    continue;
                }
            };
            let id = OutboxId::from_u64(u64::try_from(seq).unwrap_or_default());
            let attempt = count(attempt);
            let age = between(created_at, now);
            let mut delivery = LeasedDelivery::new(id, attempt, message, endpoint.clone(), age);
            (delivery.round_attempt, delivery.manual) = round(attempt, resent_after.map(count));
            leased.push(delivery);
        }
    }
    let next_due = match leased.is_empty() {
        true => next_due(connection, prefix, now).await?,
        false => None,
    };
    Ok(Leases::new(leased, next_due))
}

/// Reads the endpoints that may have something to lease, along an index of when they are to be looked at: those that merely
/// wait for their time are not read. What is found of one: 0 something due and room for it, 1 no room, 2 nothing that may be
/// leased now. Of each kind the proven ones and the others are cut off each for themselves, so that neither stand before the
/// other.
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

/// What a look finds.
struct Seen {
    /// The endpoints that have something due and room for it, those that waited longest first. One without room is left out
    /// here already, or many of them would stand before all others for as long as they are slow.
    candidates: Vec<Candidate>,
    /// Those that are to be looked at later.
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

/// Has endpoints looked at again when something of them may be leased, and not before.
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

/// When the next of an endpoint's deliveries is due that is not due yet.
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

/// Gives what a worker died on its place again, where the order counts.
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

/// A delivery that was just leased.
struct Taken {
    seq: i64,
    message: i64,
    attempt: i64,
    resent_after: Option<i64>,
    created_at: Millis,
    /// When its message was dispatched, which is earlier if it was made by `recover`.
    dispatched_at: Option<Millis>,
}

async fn take(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, epoch): (EndpointId, i64),
    request: &LeaseRequest,
    room: u32,
    now: Millis,
) -> Result<Vec<Taken>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let rows = query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = 1, token = ?, attempt = attempt + 1, due_at = ?, epoch = ? WHERE seq IN (\
         SELECT seq FROM {}outbox_deliveries WHERE endpoint = ? AND state IN (0, 1) AND due_at <= ? \
         ORDER BY due_at, seq LIMIT ?) RETURNING seq, message, attempt, created_at, \
         (SELECT m.created_at FROM {}outbox_messages m WHERE m.seq = message), resent_after",
    )
    .bind(request.token.to_bytes().to_vec())
    .bind(after(now, request.lease.min(LONGEST_LEASE)))
    .bind(epoch)
    .bind(id.to_string())
    .bind(now)
    .bind(i64::from(room))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let taken = rows.iter().map(|row| {
        Ok(Taken {
            seq: row.try_get(0)?,
            message: row.try_get(1)?,
            attempt: row.try_get(2)?,
            created_at: row.try_get(3)?,
            dispatched_at: row.try_get(4)?,
            resent_after: row.try_get(5)?,
        })
    });
    taken.collect::<Result<_, _>>().map_err(failed)
}

/// Whether something of an endpoint is due and was not leased.
async fn is_due(
    connection: &mut SqliteConnection,
    prefix: &str,
    id: EndpointId,
    now: Millis,
) -> Result<bool, StoreError> {
    query(prefix, "SELECT 1 FROM {}outbox_deliveries WHERE endpoint = ? AND state IN (0, 1) AND due_at <= ? LIMIT 1")
        .bind(id.to_string())
        .bind(now)
        .fetch_optional(connection)
        .await
        .map(|row| row.is_some())
        .map_err(|error| store_error(CONTEXT, error))
}

/// Takes the lease of a delivery back that nobody can send.
async fn put_back(
    connection: &mut SqliteConnection,
    prefix: &str,
    seq: i64,
    state: DeliveryState,
    due_at: Millis,
) -> Result<(), StoreError> {
    query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = ?, due_at = ?, token = NULL, attempt = attempt - 1 WHERE seq = ?",
    )
    .bind(number(state))
    .bind(due_at)
    .bind(seq)
    .execute(connection)
    .await
    .map(drop)
    .map_err(|error| store_error(CONTEXT, error))
}

/// What is there of a message.
#[derive(Clone)]
enum Content {
    Gone,
    Readable(Message),
    Unreadable,
}

async fn message(connection: &mut SqliteConnection, prefix: &str, seq: i64) -> Result<Content, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let row = query(
        prefix,
        "SELECT tenant, id, event_type, version, payload, happened_at FROM {}outbox_messages WHERE seq = ?",
    )
    .bind(seq)
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(Content::Gone) };
    let tenant: String = row.try_get(0).map_err(failed)?;
    let id: String = row.try_get(1).map_err(failed)?;
    let event_type: String = row.try_get(2).map_err(failed)?;
    let version: Option<String> = row.try_get(3).map_err(failed)?;
    let payload: Option<String> = row.try_get(4).map_err(failed)?;
    let happened_at: i64 = row.try_get(5).map_err(failed)?;

    let Some(payload) = payload else { return Ok(Content::Gone) };
    let stored = StoredMessage { tenant, id: id.clone(), event_type, version, payload, happened_at };
    Ok(match stored.read() {
        Ok(message) => Content::Readable(message),
        Err(cause) => {
            observe::unreadable("message", &id, &*cause);
            Content::Unreadable
        }
    })
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

/// How many endpoints one call looks at of those that are proven, and of the others.
const MOST_ENDPOINTS: i64 = 256;

#[cfg(test)]
mod tests {
    use super::{LATER, MOVE_ON, NEXT_DUE, SEE};
    use crate::store::sqlite::outbox::schema::tests::plans;

    /// A worker looks many times in a second.
    #[tokio::test]
    async fn no_look_reads_all_endpoints_or_deliveries() {
        for plan in plans(&[SEE, MOVE_ON, LATER, NEXT_DUE[0], NEXT_DUE[1]]).await {
            let of_few = |step: &str| {
                step.starts_with("SCAN (subquery-") || step.starts_with("SCAN json_each") || step == "SCAN e"
            };
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:?}");
        }
    }
}
