use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    clock,
    endpoints::{self, Found, Noted},
    moves,
    script::{MOST_ROWS, Value, is_of},
    statements::Statements,
};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    observe,
    send::{
        DeliveryState, EndpointId, FAILURES_TO_REST, IN_FLIGHT, LeaseRequest, LeasedDelivery, Leases, Message,
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

/// What a look without a lock has found.
pub(super) struct Look {
    seen: Seen,
    /// Changes when another connection writes.
    version: i64,
}

/// Looks whether there is something to lease, without a lock: most looks of an idle worker find nothing. Returns the
/// answer if there is nothing, and otherwise what there was.
pub(super) async fn look(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    now: Millis,
) -> Result<Result<Leases, Look>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let rows = statements.look.rows(connection, &wanted(request, now)).await.map_err(failed)?;
    let [version, is_late, seen @ ..] = &*rows else { return Err(failed(sqlx::Error::RowNotFound)) };
    let (version, is_late): (_, bool) =
        (version.try_get(0).map_err(failed)?, is_late.try_get("is_late").map_err(failed)?);
    let seen = Seen::read(seen)?;
    if seen.candidates.is_empty() && seen.idle.is_empty() && !is_late {
        return Ok(Ok(Leases::new(Vec::new(), next_due(connection, statements, now).await?)));
    }
    // What ends too late is ended first, under the lock.
    Ok(Err(Look { seen, version: if is_late { NEVER } else { version } }))
}

/// No version of a database.
const NEVER: i64 = -1;

/// Does what `lease` does inside a transaction that holds the write lock. What a look has found is still there, unless somebody has
/// written in the meantime.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    look: Option<Look>,
    now: Millis,
) -> Result<Leases, StoreError> {
    let Seen { candidates, idle } = see(connection, statements, request, look, now).await?;
    if !idle.is_empty() {
        let idle = serde_json::to_string(&idle).expect("texts can be written as JSON");
        let moved = statements.move_on.run(connection, &[idle.into()]).await;
        moved.map_err(|error| store_error(CONTEXT, error))?;
    }
    let served = serve_all(connection, statements, request, &candidates, now).await?;
    let leased = write(connection, statements, request, &served, now).await?;
    let next_due = match (leased.is_empty(), !served.is_empty()) {
        (true, false) => next_due(connection, statements, now).await?,
        // There may be more behind what was cancelled or put aside.
        (true, true) => Some(Duration::ZERO),
        (false, _) => None,
    };
    Ok(Leases::new(leased, next_due))
}

/// What is served of an endpoint.
type OfCandidate<'c> = (&'c Candidate, Served);

/// Decides what is leased of the endpoints, those that waited longest first. Only as many of them are read as may get something.
async fn serve_all<'c>(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    candidates: &'c [Candidate],
    now: Millis,
) -> Result<Vec<OfCandidate<'c>>, StoreError> {
    let mut shares = Shares::new(request, candidates.iter().map(|candidate| candidate.proven));
    let (mut served, mut gathered) = (Vec::new(), Gathered::default());
    let (mut left, mut read) = (request.limit, 0);
    for (place, candidate) in candidates.iter().enumerate() {
        let Candidate { proven, tenant, .. } = candidate;
        if shares.is_used_up() {
            break;
        }
        let share = shares.next(*proven, tenant);
        if share == 0 {
            continue;
        }
        if place >= read {
            // Each that has something gets at least one.
            read = candidates.len().min(place + left.max(1) as usize);
            gathered = gather(connection, statements, &candidates[place..read], now).await?;
        }
        if gathered.died.contains(&candidate.id) {
            // Only now, since the owner of a lease that has passed keeps it until another one takes it.
            take_back(connection, statements, &mut gathered.waiting, candidate.id, now).await?;
        }
        let Some(waiting) = gathered.waiting.remove(&candidate.id) else { continue };
        let Some(one) = serve(waiting, share, request.lease, now) else { continue };
        let taken = u32::try_from(one.leased.len()).unwrap_or(u32::MAX);
        shares.took(taken, *proven, tenant);
        left = left.saturating_sub(taken);
        served.push((candidate, one));
    }
    Ok(served)
}

/// What waits for endpoints of which something may be leased now.
#[derive(Default)]
struct Gathered {
    waiting: HashMap<EndpointId, Waiting>,
    /// Those that get their deliveries in order, and have one whose worker died.
    died: HashSet<EndpointId>,
}

/// Gathers what waits for endpoints, of which something may be leased now.
async fn gather(
    connection: &mut SqliteConnection,
    statements: &Statements,
    candidates: &[Candidate],
    now: Millis,
) -> Result<Gathered, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let look_at: HashMap<_, _> = candidates.iter().map(|candidate| (candidate.id, candidate.look_at)).collect();
    let values = [ids(look_at.keys()), now.into(), i64::from(MOST_DUE).into()];
    let rows = statements.waiting.rows(connection, &values).await.map_err(failed)?;
    let (mut waiting, mut died) = (HashMap::with_capacity(candidates.len()), HashSet::new());
    let (endpoints, due): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_of(row, "id"));
    for row in endpoints {
        let (endpoint, health) = match endpoints::found(row)? {
            Found::Missing => continue,
            Found::Readable(endpoint, health) => (*endpoint, health),
            Found::Unreadable { cause, .. } => {
                let id = row.text("id").map_err(failed)?;
                endpoints::rest_unreadable(connection, &statements.prefix, id, &cause, now).await?;
                continue;
            }
        };
        let mut one = Waiting::new(endpoint, health);
        one.in_flight = count(row.int("in_flight").map_err(failed)?);
        if health.room(one.in_flight, one.endpoint.settings.rate_limit, now) == 0 {
            continue;
        }
        let id = one.endpoint.id;
        if health.in_order {
            // What is still to be moved goes before what is dispatched in the meantime.
            let target = row.optional_int("target").map_err(failed)?;
            if target.map(moves::target).transpose()? == Some(DeliveryState::Pending) {
                continue;
            }
            if row.flag("has_died").map_err(failed)? {
                died.insert(id);
            }
        }
        one.later = row.optional_int("later").map_err(failed)?;
        one.look_at = look_at.get(&id).copied().flatten();
        waiting.insert(id, one);
    }
    add_due(&mut waiting, due)?;
    read_behind(connection, statements, &mut waiting, now).await?;
    Ok(Gathered { waiting, died })
}

/// Reads more of what is due where some of it waits for others with its order key.
async fn read_behind(
    connection: &mut SqliteConnection,
    statements: &Statements,
    waiting: &mut HashMap<EndpointId, Waiting>,
    now: Millis,
) -> Result<(), StoreError> {
    let is_behind = |one: &&Waiting| one.due.iter().any(|due| due.is_behind);
    let behind: Vec<_> = waiting.values().filter(is_behind).map(|one| one.endpoint.id).collect();
    if behind.is_empty() {
        return Ok(());
    }
    read_due(connection, statements, waiting, (&behind, MOST_PARKED), now).await
}

/// Returns the deliveries of an endpoint whose worker died to their places, and reads what is due after that.
async fn take_back(
    connection: &mut SqliteConnection,
    statements: &Statements,
    waiting: &mut HashMap<EndpointId, Waiting>,
    id: EndpointId,
    now: Millis,
) -> Result<(), StoreError> {
    let Some(one) = waiting.remove(&id) else { return Ok(()) };
    let taken = statements.take_back.run(connection, &[ids([&id]), now.into()]).await;
    taken.map_err(|error| store_error(CONTEXT, error))?;
    let mut alone = HashMap::from([(id, one)]);
    read_due(connection, statements, &mut alone, (&[id], MOST_DUE), now).await?;
    read_behind(connection, statements, &mut alone, now).await?;
    waiting.extend(alone);
    Ok(())
}

/// Reads what is due of some endpoints.
async fn read_due(
    connection: &mut SqliteConnection,
    statements: &Statements,
    waiting: &mut HashMap<EndpointId, Waiting>,
    (of, most): (&[EndpointId], u32),
    now: Millis,
) -> Result<(), StoreError> {
    for id in of {
        waiting.entry(*id).and_modify(|one| one.due.clear());
    }
    let values = [ids(of), now.into(), i64::from(most).into()];
    let rows = statements.due.rows(connection, &values).await.map_err(|error| store_error(CONTEXT, error))?;
    add_due(waiting, rows.iter().collect())
}

fn add_due(waiting: &mut HashMap<EndpointId, Waiting>, rows: Vec<&SqliteRow>) -> Result<(), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    for row in rows {
        let id = row.text("endpoint").map_err(failed)?;
        let Some(one) = id.parse().ok().and_then(|id: EndpointId| waiting.get_mut(&id)) else { continue };
        one.due.push(columns::due(row).map_err(failed)?);
    }
    for one in waiting.values_mut() {
        one.due.sort_unstable_by_key(|due| (due.due_at, due.id));
    }
    Ok(())
}

fn ids<'i>(ids: impl IntoIterator<Item = &'i EndpointId>) -> Value {
    let ids: Vec<_> = ids.into_iter().map(EndpointId::to_string).collect();
    serde_json::to_string(&ids).expect("texts can be written as JSON").into()
}

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

/// Returns the values of [`SEE`](super::sql::SEE), [`LATE`](super::sql::LATE) and [`END`](super::sql::END).
fn wanted(request: &LeaseRequest, now: Millis) -> Vec<Value> {
    let list = |tenants: &[&str]| serde_json::to_string(tenants).expect("texts can be written as JSON");
    let [full, full_of_unproven] = full_tenants(request);
    let mut values = Vec::from(clock::latest(now));
    values.extend([FAILURES_TO_REST, IN_FLIGHT].map(|number| Value::from(i64::from(number))));
    values.extend([MOST_SEEN, MOST_ENDPOINTS].map(Value::from));
    values.extend([full, full_of_unproven].map(|tenants| Value::from(list(&tenants))));
    values
}

async fn see(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    look: Option<Look>,
    now: Millis,
) -> Result<Seen, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    if let Some(Look { seen, version }) = look {
        let rows = statements.version.rows(connection, &[]).await.map_err(failed)?;
        let unchanged = rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)? == Some(version);
        if unchanged {
            return Ok(seen);
        }
    }
    Seen::read(&statements.see.rows(connection, &wanted(request, now)).await.map_err(failed)?)
}

impl Seen {
    fn read(rows: &[SqliteRow]) -> Result<Self, StoreError> {
        let failed = |error| store_error(CONTEXT, error);
        let mut seen = Self { candidates: Vec::new(), idle: Vec::new() };
        for row in rows {
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
}

/// Writes what was decided, and reads what is leased.
async fn write(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    served: &[OfCandidate<'_>],
    now: Millis,
) -> Result<Vec<LeasedDelivery>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let gone: Vec<_> = served.iter().flat_map(|(_, one)| &one.gone).map(|due| seq(due.id)).collect();
    let parked: Vec<_> = served.iter().flat_map(|(_, one)| &one.parked).map(|due| seq(due.id)).collect();
    if !gone.is_empty() || !parked.is_empty() {
        let values = [numbers(&gone), numbers(&parked), now.into(), PARKED_DUE.into()];
        statements.set_aside.run(connection, &values).await.map_err(failed)?;
    }

    let all: Vec<_> = served.iter().flat_map(|(_, one)| one.leased.iter().map(move |due| (due, one))).collect();
    let (mut deliveries, mut endpoints) = (all.chunks(MOST_ROWS), served.chunks(MOST_ROWS));
    let (mut leased, mut unreadable) = (Vec::with_capacity(all.len()), Vec::new());
    loop {
        let (some, endpoints) = (deliveries.next().unwrap_or_default(), endpoints.next().unwrap_or_default());
        if some.is_empty() && endpoints.is_empty() {
            break;
        }
        let taken = take(connection, statements, request, (some, endpoints), now).await.map_err(failed)?;
        for (due, one) in some {
            match taken.get(&seq(due.id)) {
                Some(Some(message)) => leased.push(due.lease(message.clone(), one.endpoint.clone(), now)),
                Some(None) => unreadable.push(seq(due.id)),
                None => {}
            }
        }
    }
    if !unreadable.is_empty() {
        let values = [numbers(&unreadable), after(now, MESSAGE_RESTS).into()];
        statements.put_back.run(connection, &values).await.map_err(failed)?;
    }
    Ok(leased)
}

/// Leases some deliveries, and notes how some endpoints are doing. Returns the messages of what is leased by the numbers of the
/// deliveries; nothing for those that cannot be read.
async fn take(
    connection: &mut SqliteConnection,
    statements: &Statements,
    request: &LeaseRequest,
    (deliveries, served): (&[(&Due, &Served)], &[OfCandidate<'_>]),
    now: Millis,
) -> Result<HashMap<i64, Option<Message>>, sqlx::Error> {
    let mut filling = statements.take.of(deliveries.len().max(served.len()));
    filling.rows(deliveries, |row, delivery| {
        row.bind(delivery.map(|(_, one)| one.health.epoch)).bind(delivery.map(|(due, _)| seq(due.id)));
    });
    filling.bind(request.token.to_bytes().to_vec()).bind(lease_end(request.lease, now));
    let served_at = Some(now);
    let noted = served.iter().map(|(_, one)| Noted { endpoint: &one.endpoint, health: &one.health, served_at });
    Noted::fill(noted, &mut filling);
    filling.rows(served.iter().filter(|(candidate, one)| one.look_at != candidate.look_at), |row, moved| {
        row.bind(moved.and_then(|(_, one)| one.look_at)).bind(moved.map(|(candidate, _)| candidate.id.to_string()));
    });
    let all: Vec<_> = deliveries.iter().map(|(due, _)| seq(due.id)).collect();
    filling.bind(serde_json::to_string(&all).expect("numbers can be written as JSON"));

    let (mut contents, mut taken) = (HashMap::new(), Vec::with_capacity(deliveries.len()));
    for row in filling.query().fetch_all(connection).await? {
        if is_of(&row, "number") {
            contents.insert(row.int("number")?, columns::content(&row, row.try_get("payload")?)?);
        } else {
            taken.push((row.int("seq")?, row.int("message")?));
        }
    }
    let with_content = |(seq, message)| {
        let content = contents.get(&message).ok_or(sqlx::Error::RowNotFound)?;
        Ok((seq, content.clone()))
    };
    taken.into_iter().map(with_content).collect()
}

/// The numbers of deliveries, as a list for a statement.
fn numbers(numbers: &[i64]) -> Value {
    serde_json::to_string(numbers).expect("numbers can be written as JSON").into()
}

async fn next_due(
    connection: &mut SqliteConnection,
    statements: &Statements,
    now: Millis,
) -> Result<Option<Duration>, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let rows = statements.next_due.rows(connection, &[now.into()]).await.map_err(failed)?;
    let times = rows.iter().map(|row| row.try_get::<Option<i64>, _>(0));
    let times = times.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(times.into_iter().flatten().min().map(|at| between(now, at)))
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
    use crate::store::sqlite::outbox::{
        schema::tests::plans,
        script::with_rows,
        sql::{DUE, MOVE_ON, NEXT_DUE, PUT_BACK, SEE, SET_ASIDE, TAKE, TAKE_BACK, waiting},
    };

    /// A worker looks many times a second, so the cost of a look must not depend on deliveries that are not due.
    #[tokio::test]
    async fn no_look_reads_all_endpoints_or_deliveries() {
        let taken = TAKE.map(|statement| with_rows(statement, 3));
        let waiting = waiting();
        let mut statements = vec![SEE, MOVE_ON, DUE, &waiting, TAKE_BACK, PUT_BACK];
        statements.extend(NEXT_DUE.into_iter().chain(SET_ASIDE).chain(taken.iter().map(String::as_str)));
        for plan in plans(&statements).await {
            let of_few = |step: &str| {
                let few =
                    ["SCAN (subquery-", "SCAN json_each", "SCAN e VIRTUAL TABLE", "SCAN n", "SCAN 3 CONSTANT ROWS"];
                step == "SCAN e" || few.iter().any(|few| step.starts_with(few))
            };
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:?}");
        }
    }
}
