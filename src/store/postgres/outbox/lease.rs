use std::{collections::HashMap, time::Duration};

use sqlx::{Row, postgres::PgRow};
use tokio::time::{Instant, timeout_at};

use super::{clock, core::Core};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    observe,
    send::{
        EndpointId, FAILURES_TO_REST, IN_FLIGHT, LeaseRequest, LeasedDelivery, Leases,
        policy::{
            MESSAGE_RESTS, MOST_DUE, MOST_PARKED, Served, UNREADABLE_RESTS, Waiting, full_tenants, lease_end, plan,
        },
    },
    store::{
        columns::{self, Columns, count, seq},
        postgres::{
            error::{no_answer, store_error},
            statement::Value,
            tx::{Tx, is_conflict, transaction},
        },
    },
};

const CONTEXT: &str = "lease deliveries";

/// Looks without a lock first: most looks of an idle worker find nothing.
pub(super) async fn lease(outbox: &Core, request: LeaseRequest) -> Result<Leases, StoreError> {
    let deadline = outbox.deadline().await?;
    let mut look = look_once(outbox, deadline, &request).await?;
    if clock::went_back(outbox, deadline, look.now).await? {
        clock::catch_up(outbox, deadline, look.now).await?;
        look = look_once(outbox, deadline, &request).await?;
    }
    let mut next_due = look.next_due;
    if !look.idle.is_empty() {
        let settled = transaction!(outbox, deadline, CONTEXT, tx => settle(outbox, &mut tx, &look.idle))?;
        next_due = next_due.into_iter().chain(settled).min();
    }
    if look.candidates.is_empty() {
        return Ok(Leases::new(Vec::new(), next_due));
    }
    let leased = transaction!(outbox, deadline, CONTEXT, tx => lease_in(outbox, &mut tx, &request, &look.candidates))?;
    // Another worker holds the locks. The next look, soon, finds the deliveries that it has left.
    let next_due = leased.is_empty().then_some(SOON);
    Ok(Leases::new(leased, next_due))
}

/// Leases inside a transaction in which something else was written. Returns the time too.
pub(super) async fn lease_within(
    outbox: &Core,
    tx: &mut Tx,
    request: &LeaseRequest,
) -> Result<(Leases, Millis), sqlx::Error> {
    let asked = Asked::new(request)?;
    let look = asked.read(&tx.all(&outbox.statements.look, &asked.values(outbox)).await?)?;
    let mut next_due = look.next_due;
    if !look.idle.is_empty() {
        next_due = next_due.into_iter().chain(settle(outbox, tx, &look.idle).await?).min();
    }
    if look.candidates.is_empty() {
        return Ok((Leases::new(Vec::new(), next_due), look.now));
    }
    let leased = lease_in(outbox, tx, request, &look.candidates).await?;
    let next_due = leased.is_empty().then_some(SOON);
    Ok((Leases::new(leased, next_due), look.now))
}

/// What a look without a lock finds.
struct Look {
    now: Millis,
    /// The endpoints that have something due and room for it, those that waited longest first.
    candidates: Vec<EndpointId>,
    /// Those that have something new, or were to be looked at now, and have nothing that may be leased now.
    idle: Vec<String>,
    next_due: Option<Duration>,
}

async fn look_once(outbox: &Core, deadline: Instant, request: &LeaseRequest) -> Result<Look, StoreError> {
    look(outbox, deadline, request).await.map_err(|error| store_error(error, CONTEXT))
}

async fn look(outbox: &Core, deadline: Instant, request: &LeaseRequest) -> Result<Look, sqlx::Error> {
    let asked = Asked::new(request)?;
    asked.read(&outbox.ask_by(deadline, &outbox.statements.look, &asked.values(outbox)).await?)
}

/// What a look asks for.
struct Asked<'a> {
    request: &'a LeaseRequest,
    /// If more endpoints have something new than one look reads, a random start gives each about the same chance.
    start: String,
    /// The tenants of which nothing is leased, and those of whose unproven endpoints nothing is.
    full: [Vec<Option<&'a str>>; 2],
}

impl<'a> Asked<'a> {
    fn new(request: &'a LeaseRequest) -> Result<Self, sqlx::Error> {
        let start = EndpointId::random().map_err(|cause| sqlx::Error::Protocol(cause.to_string()))?.to_string();
        let full = full_tenants(request).map(|tenants| tenants.into_iter().map(Some).collect());
        Ok(Self { request, start, full })
    }

    fn values(&self, outbox: &Core) -> [Value<'_>; 10] {
        [
            outbox.offset(),
            Value::from(i64::from(self.request.limit)),
            Value::from(i64::from(IN_FLIGHT)),
            Value::from(1),
            Value::from(i64::from(FAILURES_TO_REST)),
            Value::from(MOST_SEEN),
            Value::from(MOST_NEW),
            Value::from(&*self.start),
            Value::ManyTexts(&self.full[0]),
            Value::ManyTexts(&self.full[1]),
        ]
    }

    fn read(&self, rows: &[PgRow]) -> Result<Look, sqlx::Error> {
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let (now, wait) = (first.try_get("now")?, first.optional_int("wait")?);
        let (mut candidates, mut idle, mut left_unproven) = (Vec::new(), Vec::new(), self.request.unproven);
        for row in rows {
            let Some(id) = row.try_get::<Option<&str>, _>("id")? else { continue };
            if row.try_get::<bool, _>("is_idle")? {
                idle.push(id.to_owned());
                continue;
            }
            if !row.try_get::<bool, _>("proven")? {
                // Each gets at least one, so no more endpoints than that are read.
                let Some(less) = left_unproven.checked_sub(1) else { continue };
                left_unproven = less;
            }
            match id.parse() {
                Ok(id) => candidates.push(id),
                Err(cause) => observe::unreadable("endpoint", &id, &cause),
            }
        }
        candidates.truncate(self.request.limit as usize);
        Ok(Look { now, candidates, idle, next_due: wait.map(positive) })
    }
}

/// Has endpoints looked at again when something of them may be leased, and not before; and records what is new for
/// them. Returns the time until the first of them is to be looked at.
async fn settle(outbox: &Core, tx: &mut Tx, idle: &[String]) -> Result<Option<Duration>, sqlx::Error> {
    let ids: Vec<_> = idle.iter().map(|id| Some(&**id)).collect();
    // The rows are read after the lock was taken, since the decision depends on them.
    let locked = tx.all(&outbox.statements.lock_idle, &[Value::ManyTexts(&ids)]).await?;
    let ids = locked.iter().map(|row| Ok(Some(row.try_get("id")?))).collect::<Result<Vec<_>, sqlx::Error>>()?;
    if ids.is_empty() {
        return Ok(None);
    }
    let values = [outbox.offset(), Value::ManyTexts(&ids), Value::from(MOST_NOTED)];
    let row = tx.first(&outbox.statements.settle, &values).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get::<Option<i64>, _>("wait")?.map(positive))
}

fn positive(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

async fn lease_in(
    outbox: &Core,
    tx: &mut Tx,
    request: &LeaseRequest,
    candidates: &[EndpointId],
) -> Result<Vec<LeasedDelivery>, sqlx::Error> {
    let Some((now, mut locked)) = lock(outbox, tx, candidates).await? else { return Ok(Vec::new()) };
    gather(outbox, tx, &mut locked, now).await?;
    // In the order in which they are served.
    let waiting = candidates.iter().filter_map(|id| locked.remove(id)).collect();
    let served = plan(request, waiting, now);
    if served.is_empty() {
        return Ok(Vec::new());
    }
    take(outbox, tx, request, &served, now).await
}

/// Locks the endpoints that no other connection has locked. Their waiting deliveries are read afterwards: before the
/// lock, another worker may have leased some of them.
async fn lock(
    outbox: &Core,
    tx: &mut Tx,
    candidates: &[EndpointId],
) -> Result<Option<(Millis, HashMap<EndpointId, Waiting>)>, sqlx::Error> {
    let ids: Vec<_> = candidates.iter().map(EndpointId::to_string).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let rows = tx.all(&outbox.statements.lock, &[outbox.offset(), Value::ManyTexts(&ids)]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let now = first.try_get("now")?;
    let mut locked = HashMap::new();
    let mut unreadable = Vec::new();
    for row in &rows {
        match columns::endpoint(row) {
            Ok((endpoint, health)) => {
                let id = endpoint.id;
                let mut waiting = Waiting::new(endpoint, health);
                waiting.look_at = row.try_get("look_at")?;
                locked.insert(id, waiting);
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
        tx.all(&outbox.statements.rest, &[Value::ManyTexts(&unreadable), until]).await?;
    }
    Ok(Some((now, locked)))
}

/// Reads the waiting deliveries of locked endpoints.
async fn gather(
    outbox: &Core,
    tx: &mut Tx,
    locked: &mut HashMap<EndpointId, Waiting>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let in_order = locked.values().filter(|locked| locked.health.in_order).map(|locked| locked.endpoint.id.to_string());
    let in_order: Vec<_> = in_order.collect();
    if !in_order.is_empty() {
        let in_order: Vec<_> = in_order.iter().map(|id| Some(&**id)).collect();
        // Deliveries that are still to be moved go before those that are dispatched meanwhile.
        for row in tx.all(&outbox.statements.moved_on, &[Value::ManyTexts(&in_order)]).await? {
            if let Ok(id) = row.try_get::<&str, _>("endpoint")?.parse::<EndpointId>() {
                locked.remove(&id);
            }
        }
        tx.all(&outbox.statements.take_back, &[Value::from(now), Value::ManyTexts(&in_order)]).await?;
    }

    let all: Vec<_> = locked.keys().copied().collect();
    read_waiting(outbox, tx, locked, (&all, MOST_DUE), now).await?;
    let is_behind = |locked: &&Waiting| locked.due.iter().any(|due| due.is_behind);
    let behind: Vec<_> = locked.values().filter(is_behind).map(|locked| locked.endpoint.id).collect();
    if !behind.is_empty() {
        read_waiting(outbox, tx, locked, (&behind, MOST_PARKED), now).await?;
    }
    Ok(())
}

/// Reads the waiting deliveries of some of the locked endpoints.
async fn read_waiting(
    outbox: &Core,
    tx: &mut Tx,
    locked: &mut HashMap<EndpointId, Waiting>,
    (ids, most): (&[EndpointId], u32),
    now: Millis,
) -> Result<(), sqlx::Error> {
    for id in ids {
        locked.entry(*id).and_modify(|waiting| waiting.due.clear());
    }
    let ids: Vec<_> = ids.iter().map(EndpointId::to_string).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let values = [Value::from(now), Value::ManyTexts(&ids), Value::from(i64::from(most))];
    for row in tx.all(&outbox.statements.waiting, &values).await? {
        let id = row.text("endpoint")?;
        let Some(waiting) = id.parse().ok().and_then(|id: EndpointId| locked.get_mut(&id)) else { continue };
        waiting.in_flight = count(row.int("in_flight")?);
        waiting.later = row.optional_int("later")?;
        if row.optional_int("seq")?.is_some() {
            waiting.due.push(columns::due(&row)?);
        }
        // The last row of an endpoint decides.
        waiting.is_partial = (waiting.due.len() as i64) < row.int("due")?;
    }
    Ok(())
}

/// Writes the decisions, and reads the leased deliveries.
async fn take(
    outbox: &Core,
    tx: &mut Tx,
    request: &LeaseRequest,
    served: &[Served],
    now: Millis,
) -> Result<Vec<LeasedDelivery>, sqlx::Error> {
    let picked: Vec<_> = served.iter().flat_map(|one| &one.leased).map(|due| seq(due.id)).collect();
    let gone: Vec<_> = served.iter().flat_map(|one| &one.gone).map(|due| seq(due.id)).collect();
    let parked: Vec<_> = served.iter().flat_map(|one| &one.parked).map(|due| seq(due.id)).collect();
    let token = request.token.to_bytes();
    let ids: Vec<_> = served.iter().map(|one| one.endpoint.id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(|id| Some(&**id)).collect();
    let paces = || served.iter().map(|one| one.health.pace);
    let steady: Vec<_> = paces().map(|pace| pace.steady).collect();
    let steady_at: Vec<_> = paces().map(|pace| pace.steady_at).collect();
    let next_at: Vec<_> = paces().map(|pace| pace.next_at).collect();
    let catching_up: Vec<_> = paces().map(|pace| i64::from(pace.catching_up)).collect();
    let urgent: Vec<_> = served.iter().map(|one| i64::from(one.health.urgent)).collect();
    let ready_at = served.iter().map(|one| one.health.ready_at(one.endpoint.settings.rate_limit));
    let ready_at: Vec<_> = ready_at.collect();
    let look_at: Vec<_> = served.iter().map(|one| one.look_at.unwrap_or(now)).collect();
    let values = [
        Value::from(now),
        Value::from(lease_end(request.lease, now)),
        Value::from(&token),
        Value::ManyInts(&picked),
        Value::ManyTexts(&ids),
        Value::ManyFloats(&steady),
        Value::ManyInts(&next_at),
        Value::ManyInts(&catching_up),
        Value::ManyInts(&ready_at),
        Value::ManyInts(&steady_at),
        Value::ManyInts(&urgent),
        Value::ManyInts(&look_at),
        Value::ManyInts(&gone),
        Value::ManyInts(&parked),
    ];
    let rows = tx.all(&outbox.statements.take, &values).await?;
    let mut contents = HashMap::new();
    let mut taken = HashMap::new();
    for row in &rows {
        let number = row.int("message")?;
        if let Some(payload) = row.optional_text("payload")? {
            contents.insert(number, columns::content(row, payload)?);
        }
        taken.insert(row.int("seq")?, contents.get(&number).cloned().flatten());
    }

    let mut leased = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for one in served {
        for due in &one.leased {
            match taken.remove(&seq(due.id)) {
                Some(Some(message)) => leased.push(due.lease(message, one.endpoint.clone(), now)),
                Some(None) => unreadable.push(seq(due.id)),
                None => {}
            }
        }
    }
    if !unreadable.is_empty() {
        let due = Value::from(after(now, MESSAGE_RESTS));
        tx.all(&outbox.statements.put_back, &[Value::ManyInts(&unreadable), due]).await?;
    }
    Ok(leased)
}

/// How many endpoints one look reads of those that may have something to lease.
const MOST_SEEN: i64 = 10_000;

/// How many of the endpoints that have something new one look reads.
const MOST_NEW: i64 = 1000;

/// How many deliveries one look notes, that cannot be leased at once.
const MOST_NOTED: i64 = 2000;

/// When a worker looks again that found everything locked.
const SOON: Duration = Duration::from_millis(10);
