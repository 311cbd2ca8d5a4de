use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{corrupt, count, dispatch::outbox_id, endpoints};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    observe,
    send::{
        EndpointId, EndpointRecord, FAILURES_TO_REST, IN_FLIGHT, LONGEST_LEASE, LeaseRequest, LeasedDelivery, Leases,
        Message,
        policy::{
            Health, Leased, Left, MESSAGE_RESTS, MOST_SEEN, Shares, StoredMessage, UNREADABLE_RESTS, URGENT_DUE,
            full_tenants, look_at, round,
        },
    },
    store::postgres::{
        PostgresStore,
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "lease deliveries";

/// Looks without a lock first: most looks of an idle worker find nothing.
pub(super) async fn lease(store: &PostgresStore, request: LeaseRequest) -> Result<Leases, StoreError> {
    let deadline = store.outbox_deadline().await?;
    let look = look(store, deadline, &request).await.map_err(|error| store_error(error, CONTEXT))?;
    let mut next_due = look.next_due;
    if !look.idle.is_empty() {
        let settled = transaction!(store, deadline, CONTEXT, tx => settle(store, &mut tx, &look.idle))?;
        next_due = next_due.into_iter().chain(settled).min();
    }
    if look.candidates.is_empty() {
        return Ok(Leases::new(Vec::new(), next_due));
    }
    let leased = transaction!(store, deadline, CONTEXT, tx => lease_in(store, &mut tx, &request, &look.candidates))?;
    // Another worker has what there is, or had: soon it is seen how much it left.
    let next_due = leased.is_empty().then_some(SOON);
    Ok(Leases::new(leased, next_due))
}

/// What a look without a lock finds.
struct Look {
    /// The endpoints that have something due and room for it, those that waited longest first.
    candidates: Vec<EndpointId>,
    /// Those that have something new, or were to be looked at now, and have nothing that may be leased now.
    idle: Vec<String>,
    next_due: Option<Duration>,
}

async fn look(
    store: &PostgresStore,
    deadline: tokio::time::Instant,
    request: &LeaseRequest,
) -> Result<Look, sqlx::Error> {
    // Where there are more with something new than are seen, each comes about as often as the others.
    let start = EndpointId::random().map_err(|cause| sqlx::Error::Protocol(cause.to_string()))?.to_string();
    let [full, full_of_unproven] =
        full_tenants(request).map(|tenants| tenants.into_iter().map(Some).collect::<Vec<_>>());
    let values = [
        store.offset(),
        Value::from(i64::from(request.limit)),
        Value::from(i64::from(IN_FLIGHT)),
        Value::from(1),
        Value::from(i64::from(FAILURES_TO_REST)),
        Value::from(MOST_SEEN),
        Value::from(MOST_NEW),
        Value::from(&*start),
        Value::ManyTexts(&full),
        Value::ManyTexts(&full_of_unproven),
    ];
    let rows = store.ask_by(deadline, &store.statements().look, &values).await?;
    let wait = rows.first().map(|row| row.try_get::<Option<i64>, _>("wait")).transpose()?.flatten();
    let (mut candidates, mut idle, mut left_unproven) = (Vec::new(), Vec::new(), request.unproven);
    for row in &rows {
        let Some(id) = row.try_get::<Option<&str>, _>("id")? else { continue };
        if row.try_get::<bool, _>("is_idle")? {
            idle.push(id.to_owned());
            continue;
        }
        if !row.try_get::<bool, _>("proven")? {
            // Each gets one at least, so more of them than that are not asked for.
            let Some(less) = left_unproven.checked_sub(1) else { continue };
            left_unproven = less;
        }
        match id.parse() {
            Ok(id) => candidates.push(id),
            Err(cause) => observe::unreadable("endpoint", &id, &cause),
        }
    }
    candidates.truncate(request.limit as usize);
    Ok(Look { candidates, idle, next_due: wait.map(positive) })
}

/// Has endpoints looked at again when something of them may be leased, and not before; and notes what is new of them. Tells how
/// long until the first of them is to be looked at.
async fn settle(store: &PostgresStore, tx: &mut Tx, idle: &[String]) -> Result<Option<Duration>, sqlx::Error> {
    let ids: Vec<_> = idle.iter().map(|id| Some(&**id)).collect();
    // What is decided under the lock is read after it.
    let locked = tx.all(&store.statements().lock_idle, &[Value::ManyTexts(&ids)]).await?;
    let ids = locked.iter().map(|row| Ok(Some(row.try_get("id")?))).collect::<Result<Vec<_>, sqlx::Error>>()?;
    if ids.is_empty() {
        return Ok(None);
    }
    let values = [store.offset(), Value::ManyTexts(&ids), Value::from(MOST_NOTED)];
    let row = tx.first(&store.statements().settle, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get::<Option<i64>, _>("wait")?.map(positive))
}

fn positive(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// An endpoint that is locked, and what waits for it.
struct Locked {
    endpoint: EndpointRecord,
    health: Health,
    in_flight: u32,
    look_at: Option<Millis>,
    /// When the next of what is not due is so.
    later: Option<Millis>,
    /// Its first deliveries that are due.
    due: Vec<Due>,
}

struct Due {
    seq: i64,
    is_first: bool,
    is_urgent: bool,
    /// When its message was dispatched, unless the delivery was made later.
    dispatched_at: Option<Millis>,
}

async fn lease_in(
    store: &PostgresStore,
    tx: &mut Tx,
    request: &LeaseRequest,
    candidates: &[EndpointId],
) -> Result<Vec<LeasedDelivery>, sqlx::Error> {
    let Some((now, mut locked)) = lock(store, tx, candidates).await? else { return Ok(Vec::new()) };

    // In the order in which they are served.
    let mut order: Vec<_> = candidates.iter().filter_map(|id| locked.remove(id)).collect();
    let tenants: Vec<_> = order.iter().map(|locked| locked.endpoint.tenant.clone()).collect();
    let mut shares = Shares::new(request, order.iter().map(|locked| locked.health.proven));
    let mut picked = Vec::new();
    let mut served = Vec::new();
    for (locked, tenant) in order.iter_mut().zip(&tenants) {
        if shares.is_used_up() {
            break;
        }
        let limit = locked.endpoint.settings.rate_limit;
        let proven = locked.health.proven;
        let room = locked.health.room(locked.in_flight, limit, now).min(shares.next(proven, tenant)) as usize;
        let taken = &locked.due[..room.min(locked.due.len())];
        if taken.is_empty() {
            continue;
        }
        let attempts = count(taken.len() as i64);
        let first = count(taken.iter().filter(|due| due.is_first).count() as i64);
        let dispatched = taken.iter().filter(|due| due.is_first).filter_map(|due| due.dispatched_at);
        let dispatched: Vec<_> = dispatched.collect();
        picked.extend(taken.iter().map(|due| due.seq));
        shares.took(attempts, proven, tenant);
        let all = taken.len() == locked.due.len();
        let urgent_left = locked.due[taken.len()..].iter().any(|due| due.is_urgent);
        locked.health.leased(Leased { attempts, first, dispatched: &dispatched, all, urgent_left }, limit, now);
        let lease_ends = after(now, request.lease.min(LONGEST_LEASE));
        let left = Left { more: !all, later: Some(locked.later.map_or(lease_ends, |later| later.min(lease_ends))) };
        locked.look_at = look_at(locked.look_at, left, locked.health.ready_at(limit), now);
        served.push(&*locked);
    }
    if picked.is_empty() {
        return Ok(Vec::new());
    }
    take(store, tx, request, now, &picked, &served).await
}

/// Locks those of the endpoints that nobody else has locked, and then reads what waits for them: before the lock, another worker
/// may have leased of it.
async fn lock(
    store: &PostgresStore,
    tx: &mut Tx,
    candidates: &[EndpointId],
) -> Result<Option<(Millis, HashMap<EndpointId, Locked>)>, sqlx::Error> {
    let ids: Vec<_> = candidates.iter().map(EndpointId::to_string).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let rows = tx.all(&store.statements().lock, &[store.offset(), Value::ManyTexts(&ids)]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let now = first.try_get("now")?;
    let mut locked = HashMap::new();
    let mut unreadable = Vec::new();
    for row in &rows {
        match endpoints::read(row) {
            Ok((endpoint, health)) => {
                let (look_at, due) = (row.try_get("look_at")?, Vec::new());
                locked.insert(endpoint.id, Locked { endpoint, health, in_flight: 0, look_at, later: None, due });
            }
            Err(cause) => {
                let id = row.try_get::<&str, _>("id")?;
                observe::unreadable("endpoint", &id, &cause);
                unreadable.push(Some(id));
            }
        }
    }
    if !unreadable.is_empty() {
        let until = Value::from(after(now, UNREADABLE_RESTS));
        tx.all(&store.statements().rest, &[Value::ManyTexts(&unreadable), until]).await?;
    }

    let in_order = locked.values().filter(|locked| locked.health.in_order).map(|locked| locked.endpoint.id.to_string());
    let in_order: Vec<_> = in_order.collect();
    if !in_order.is_empty() {
        let in_order: Vec<_> = in_order.iter().map(|id| Some(&**id)).collect();
        // What is not moved yet goes before what is dispatched meanwhile.
        for row in tx.all(&store.statements().moved_on, &[Value::ManyTexts(&in_order)]).await? {
            if let Ok(id) = row.try_get::<&str, _>("endpoint")?.parse::<EndpointId>() {
                locked.remove(&id);
            }
        }
        tx.all(&store.statements().take_back, &[Value::from(now), Value::ManyTexts(&in_order)]).await?;
    }

    let ids: Vec<_> = locked.keys().map(EndpointId::to_string).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    // One more than is leased tells whether there is more.
    let values = [Value::from(now), Value::ManyTexts(&ids), Value::from(i64::from(IN_FLIGHT) + 1)];
    for row in tx.all(&store.statements().waiting, &values).await? {
        let id: &str = row.try_get("id")?;
        let Some(locked) = id.parse().ok().and_then(|id: EndpointId| locked.get_mut(&id)) else { continue };
        locked.in_flight = count(row.try_get("in_flight")?);
        locked.later = row.try_get("later")?;
        if let Some(seq) = row.try_get::<Option<i64>, _>("seq")? {
            let is_first = row.try_get::<i64, _>("attempt")? == 0;
            let is_urgent = row.try_get::<i64, _>("due_at")? == URGENT_DUE;
            locked.due.push(Due { seq, is_first, is_urgent, dispatched_at: row.try_get("dispatched_at")? });
        }
    }
    Ok(Some((now, locked)))
}

async fn take(
    store: &PostgresStore,
    tx: &mut Tx,
    request: &LeaseRequest,
    now: Millis,
    picked: &[i64],
    served: &[&Locked],
) -> Result<Vec<LeasedDelivery>, sqlx::Error> {
    let token = request.token.to_bytes();
    let ids: Vec<_> = served.iter().map(|locked| locked.endpoint.id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let paces = || served.iter().map(|locked| locked.health.pace);
    let steady: Vec<_> = paces().map(|pace| pace.steady).collect();
    let steady_at: Vec<_> = paces().map(|pace| pace.steady_at).collect();
    let next_at: Vec<_> = paces().map(|pace| pace.next_at).collect();
    let catching_up: Vec<_> = paces().map(|pace| i64::from(pace.catching_up)).collect();
    let urgent: Vec<_> = served.iter().map(|locked| i64::from(locked.health.urgent)).collect();
    let ready_at = served.iter().map(|locked| locked.health.ready_at(locked.endpoint.settings.rate_limit));
    let ready_at: Vec<_> = ready_at.collect();
    let look_at: Vec<_> = served.iter().map(|locked| locked.look_at.unwrap_or(now)).collect();
    let values = [
        Value::from(now),
        Value::from(after(now, request.lease.min(LONGEST_LEASE))),
        Value::from(&token),
        Value::ManyInts(picked),
        Value::ManyTexts(&ids),
        Value::ManyFloats(&steady),
        Value::ManyInts(&next_at),
        Value::ManyInts(&catching_up),
        Value::ManyInts(&ready_at),
        Value::ManyInts(&steady_at),
        Value::ManyInts(&urgent),
        Value::ManyInts(&look_at),
    ];
    let rows = tx.all(&store.statements().take, &values).await?;

    let records = served.iter().map(|locked| (locked.endpoint.id, Arc::new(locked.endpoint.clone())));
    let records: HashMap<_, _> = records.collect();
    let mut messages = HashMap::new();
    let mut leased = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in &rows {
        let number: i64 = row.try_get("message")?;
        if let Some(payload) = row.try_get::<Option<String>, _>("payload")? {
            messages.insert(number, message(row, payload)?);
        }
        let Some(Some(message)) = messages.get(&number) else {
            unreadable.push(row.try_get("seq")?);
            continue;
        };
        let endpoint: EndpointId =
            row.try_get::<&str, _>("endpoint")?.parse().map_err(|_| corrupt("invalid endpoint id"))?;
        let Some(endpoint) = records.get(&endpoint) else { continue };
        let age = now.saturating_sub(row.try_get("created_at")?);
        let attempt = count(row.try_get("attempt")?);
        let mut delivery = LeasedDelivery::new(
            outbox_id(row.try_get("seq")?)?,
            attempt,
            message.clone(),
            endpoint.clone(),
            Duration::from_millis(u64::try_from(age).unwrap_or_default()),
        );
        (delivery.round_attempt, delivery.manual) =
            round(attempt, row.try_get::<Option<i64>, _>("resent_after")?.map(count));
        leased.push(delivery);
    }
    if !unreadable.is_empty() {
        let due = Value::from(after(now, MESSAGE_RESTS));
        tx.all(&store.statements().put_back, &[Value::ManyInts(&unreadable), due]).await?;
    }
    Ok(leased)
}

/// Makes a message of its row. Nothing when it cannot be read, which the operator is told.
fn message(row: &PgRow, payload: String) -> Result<Option<Message>, sqlx::Error> {
    let id: String = row.try_get("id")?;
    let stored = StoredMessage {
        tenant: row.try_get("tenant")?,
        id: id.clone(),
        event_type: row.try_get("event_type")?,
        version: row.try_get("version")?,
        payload,
        happened_at: row.try_get("happened_at")?,
    };
    Ok(stored.read().map_err(|cause| observe::unreadable("message", &id, &*cause)).ok())
}

/// How many of the endpoints that have something new one look reads.
const MOST_NEW: i64 = 1000;

/// How many deliveries one look notes, that cannot be leased at once.
const MOST_NOTED: i64 = 2000;

/// When a worker looks again that found everything locked.
const SOON: Duration = Duration::from_millis(10);
