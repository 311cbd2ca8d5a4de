use std::{any::Any, borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    core::Core,
    rows::{EventRow, corrupt, id_of, kept, number, number_of, restored, until},
};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    inbox::{
        Content, Ending, Fenced, InboxId, InboxLease, InboxLeases, LeaseToken, LeasedEvent,
        policy::{EXHAUSTED, Leased, MOST_EXHAUSTED, NEVER, Standing},
    },
    store::postgres::{
        error::{in_transaction, no_answer, store_error},
        statement::{Statement, Value},
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "lease events of the inbox";

/// Looks without a lock first: most looks of an idle worker find nothing.
pub(super) async fn lease(core: &Core, request: InboxLease) -> Result<InboxLeases, StoreError> {
    let deadline = core.deadline().await?;
    let consumer = kept(&request.consumer);
    let held = Held::of(&request, &[]);
    let sources = held.sources();
    let (statement, values) = held.look(core, &consumer, &sources);
    let rows = core.ask(deadline, statement, &values).await;
    let next = rows.and_then(|rows| next_due(&rows)).map_err(|error| store_error(error, CONTEXT))?;
    if request.limit == 0 || next.is_none_or(|next| !next.is_zero()) {
        return Ok(InboxLeases::new(Vec::new(), next, 0));
    }
    let mut leases = transaction!(core, deadline, CONTEXT, tx => lease_in(core, &mut tx, &request, &consumer))?;
    if leases.events.is_empty() && leases.exhausted == 0 && leases.next_due == Some(Duration::ZERO) {
        // Other connections have locked the due events. The next look, soon, finds those that are left.
        leases.next_due = Some(SOON);
    }
    Ok(leases)
}

fn next_due(rows: &[PgRow]) -> Result<Option<Duration>, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (now, next): (Millis, Option<Millis>) = (row.try_get("now")?, row.try_get("next")?);
    Ok(next.filter(|next| *next != NEVER).map(|next| until(next, now)))
}

async fn lease_in(core: &Core, tx: &mut Tx, request: &InboxLease, consumer: &str) -> Result<InboxLeases, sqlx::Error> {
    let mut leases = InboxLeases::default();
    // Read once, so that all of them have one lease.
    let mut time = None;
    loop {
        let room = i64::from(request.limit) - leases.events.len() as i64;
        if room <= 0 || leases.exhausted >= MOST_EXHAUSTED {
            break;
        }
        let held = Held::of(request, &leases.events);
        let sources = held.sources();
        let (statement, values) = held.due(core, consumer, (room, time), &sources);
        let rows = tx.all(statement, &values).await?;
        let Some(now) = rows.first().map(|row| row.try_get::<Millis, _>("now")).transpose()? else { break };
        time = Some(now);
        let (mut taken, mut exhausted) = ((Vec::new(), Vec::new()), Vec::new());
        let (mut is_alone, mut held_until) = (false, now);
        for row in &rows {
            let mut found = EventRow::read(row)?;
            let was_abandoned = found.standing.was_abandoned();
            if was_abandoned && !leases.events.is_empty() {
                is_alone = true;
                break;
            }
            match found.standing.lease(request.token, request.lease, request.attempts, now) {
                Leased::Exhausted => exhausted.push(found),
                Leased::Taken { round_attempt } => {
                    taken.0.push(found.seq);
                    taken.1.push(i64::from(found.standing.attempt));
                    held_until = found.standing.due_at;
                    leases.events.push(leased(row, &found, round_attempt, now)?);
                    if was_abandoned {
                        is_alone = true;
                        break;
                    }
                }
            }
        }
        if !taken.0.is_empty() {
            let token = request.token.to_bytes();
            let (seqs, attempts) = (Value::ManyInts(&taken.0), Value::ManyInts(&taken.1));
            tx.all(&core.statements.hold, &[Value::from(&token), Value::from(held_until), seqs, attempts]).await?;
        }
        let ended = end(core, tx, exhausted, now).await?;
        leases.exhausted += ended;
        // An event that waited for a dead one may be due now.
        if ended == 0 || is_alone {
            break;
        }
    }
    let held = Held::of(request, &leases.events);
    let sources = held.sources();
    let (statement, values) = held.look(core, consumer, &sources);
    let rows = tx.all(statement, &values).await?;
    leases.next_due = next_due(&rows)?;
    Ok(leases)
}

/// The number of leased events of each provider, if that is limited.
struct Held<'a> {
    limit: Option<i64>,
    sources: Vec<Cow<'a, str>>,
    counts: Vec<i64>,
}

impl<'a> Held<'a> {
    /// Counts the events that the worker holds, and those that this call has leased.
    fn of(request: &'a InboxLease, given: &'a [LeasedEvent]) -> Self {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        if request.source_limit.is_some() {
            request.held.iter().for_each(|(source, held)| *counts.entry(source).or_default() += i64::from(*held));
            given.iter().for_each(|event| *counts.entry(&event.provider).or_default() += 1);
        }
        let (sources, counts): (Vec<_>, _) = counts.into_iter().unzip();
        let sources = sources.into_iter().map(kept).collect();
        Self { limit: request.source_limit.map(i64::from), sources, counts }
    }

    fn sources(&self) -> Vec<Option<&str>> {
        self.sources.iter().map(|source| Some(&**source)).collect()
    }

    /// Finds the time at which the next event is due.
    fn look<'v>(
        &'v self,
        core: &'v Core,
        consumer: &'v str,
        sources: &'v [Option<&'v str>],
    ) -> (&'v Statement, Vec<Value<'v>>) {
        let mut values = vec![core.offset(), Value::from(consumer)];
        if self.limit.is_none() {
            return (&core.statements.look, values);
        }
        values.extend([Value::Int(self.limit), Value::ManyTexts(sources), Value::ManyInts(&self.counts)]);
        (&core.statements.look_at_sources, values)
    }

    /// Finds due events.
    fn due<'v>(
        &'v self,
        core: &'v Core,
        consumer: &'v str,
        (room, time): (i64, Option<Millis>),
        sources: &'v [Option<&'v str>],
    ) -> (&'v Statement, Vec<Value<'v>>) {
        let mut values = vec![core.offset(), Value::from(consumer), Value::from(room), Value::Int(time)];
        if self.limit.is_none() {
            return (&core.statements.due, values);
        }
        values.extend([Value::Int(self.limit), Value::ManyTexts(sources), Value::ManyInts(&self.counts)]);
        (&core.statements.due_of_sources, values)
    }
}

fn leased(row: &PgRow, found: &EventRow, round_attempt: u32, now: Millis) -> Result<LeasedEvent, sqlx::Error> {
    let key: Vec<u8> = row.try_get("key")?;
    let key = key.try_into().map_err(|_| corrupt("a key is not of 16 bytes"))?;
    let accepted_at: Millis = row.try_get("accepted_at")?;
    let (head, body): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get("head")?, row.try_get("body")?);
    Ok(LeasedEvent::new(
        id_of(found.seq),
        ClaimKey::from_bytes(key),
        (found.standing.attempt, round_attempt),
        restored(row.try_get("provider")?),
        Content::new(text(&head.unwrap_or_default()), body.unwrap_or_default().into()),
        until(now, accepted_at),
    ))
}

/// A head as it was stored. One that is not a text any more cannot be read, which the worker says.
pub(super) fn text(head: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(head).into()
}

/// Marks locked events as dead, and makes those that waited for them due. If another transaction holds the lock of an
/// event's order key, the event is left to the next look: waiting for that lock while rows are locked could be a
/// deadlock.
async fn end(core: &Core, tx: &mut Tx, mut dead: Vec<EventRow>, now: Millis) -> Result<u64, sqlx::Error> {
    let numbers = core.locks(dead.iter().filter_map(|row| row.order_key.as_deref()));
    if !numbers.is_empty() {
        let rows = tx.all(&core.statements.try_lock_keys, &[Value::ManyInts(&numbers)]).await?;
        let locked = rows.iter().map(|row| row.try_get("number")).collect::<Result<Vec<i64>, _>>()?;
        dead.retain(|row| row.order_key.as_deref().is_none_or(|key| locked.contains(&core.lock_of(key))));
    }
    if dead.is_empty() {
        return Ok(0);
    }
    let reasons = vec![Some(EXHAUSTED); dead.len()];
    write(core, tx, dead.iter().map(|row| (row.seq, &row.standing)), &reasons).await?;
    go_on(core, tx, dead.iter().filter_map(|row| row.order_key.as_deref()), now).await?;
    Ok(dead.len() as u64)
}

/// Writes the state of locked events, which no worker holds from now on.
pub(super) async fn write<'r>(
    core: &Core,
    tx: &mut Tx,
    rows: impl Iterator<Item = (i64, &'r Standing)>,
    reasons: &[Option<&str>],
) -> Result<(), sqlx::Error> {
    let mut columns = [const { Vec::new() }; 5];
    for (seq, standing) in rows {
        let values = [seq, number(standing.state), standing.due_at, standing.attempt.into(), standing.spent.into()];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let [seqs, states, due_at, attempts, spent] = columns.each_ref().map(|column| Value::ManyInts(column));
    tx.all(&core.statements.write, &[seqs, states, due_at, attempts, spent, Value::ManyTexts(reasons)]).await.map(drop)
}

/// Lets the first event with each order key of those that have ended go on. Their locks are held.
pub(super) async fn go_on<'k>(
    core: &Core,
    tx: &mut Tx,
    keys: impl Iterator<Item = &'k [u8]>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(());
    }
    tx.all(&core.statements.go_on, &[Value::from(now), Value::ManyBytes(&keys)]).await.map(drop)
}

pub(super) async fn standing(core: &Core, id: InboxId) -> Result<Option<(EventRow, Millis)>, sqlx::Error> {
    let deadline = core.server.deadline();
    read(&core.ask(deadline, &core.statements.standing, &[core.offset(), Value::from(number_of(id))]).await?)
}

fn read(rows: &[PgRow]) -> Result<Option<(EventRow, Millis)>, sqlx::Error> {
    rows.first().map(|row| Ok((EventRow::read(row)?, row.try_get("now")?))).transpose()
}

pub(super) async fn renew(core: &Core, id: InboxId, token: LeaseToken, lease: Duration) -> Result<Fenced, StoreError> {
    const CONTEXT: &str = "renew a lease of the inbox";

    let deadline = core.deadline().await?;
    let Some((mut row, now)) = standing(core, id).await.map_err(|error| store_error(error, CONTEXT))? else {
        return Ok(Fenced::Stale);
    };
    if row.standing.renew(token, lease, now) == Fenced::Stale {
        return Ok(Fenced::Stale);
    }
    let token = token.to_bytes();
    let lock_timeout = Value::from(&*core.server.lock_timeout);
    let values = [lock_timeout, Value::from(row.seq), Value::from(&token), Value::from(row.standing.due_at)];
    let rows =
        core.ask(deadline, &core.statements.renew, &values).await.map_err(|error| store_error(error, CONTEXT))?;
    Ok(applied(!rows.is_empty()))
}

fn applied(is_applied: bool) -> Fenced {
    if is_applied { Fenced::Applied } else { Fenced::Stale }
}

const FINISH: &str = "end an event of the inbox";

pub(super) async fn finish(core: &Core, id: InboxId, token: LeaseToken, ending: Ending) -> Result<Fenced, StoreError> {
    let deadline = core.deadline().await?;
    let found = standing(core, id).await.map_err(|error| store_error(error, FINISH))?;
    let Some((mut row, now)) = found else { return Ok(Fenced::Stale) };
    if row.standing.finish(token, &ending, now) == Fenced::Stale {
        return Ok(Fenced::Stale);
    }
    if row.order_key.is_none() || !row.standing.state.has_ended() {
        // Only its row changes, and its holder still holds it.
        let ended = write_ended(core, Way::Alone(deadline), &row, token, &ending).await;
        return ended.map_err(|error| store_error(error, FINISH));
    }
    transaction!(core, deadline, FINISH, tx => finish_on(core, tx.connection(), id, token, &ending))
}

pub(super) async fn finish_in(
    core: &Core,
    connection: &mut (dyn Any + Send),
    id: InboxId,
    token: LeaseToken,
) -> Result<Fenced, StoreError> {
    let Some(connection) = connection.downcast_mut::<PgConnection>() else {
        return Err(StoreError::new(
            StoreErrorKind::WrongTransaction,
            "end an event: the store is PostgreSQL, and the connection is not an `sqlx::PgConnection`",
        ));
    };
    // In another database that has our tables the token is not found.
    let done = timeout(core.server.timeout, finish_on(core, connection, id, token, &Ending::Done)).await;
    done.unwrap_or_else(|_| Err(no_answer())).map_err(|error| in_transaction(error, FINISH))
}

/// Does what `finish` and `finish_in` do inside a transaction.
async fn finish_on(
    core: &Core,
    connection: &mut PgConnection,
    id: InboxId,
    token: LeaseToken,
    ending: &Ending,
) -> Result<Fenced, sqlx::Error> {
    let mode = core.server.mode;
    let look = [core.offset(), Value::from(number_of(id))];
    let found = read(&core.statements.standing.fetch_all(connection, mode, &look).await?)?;
    let Some((mut row, now)) = found else { return Ok(Fenced::Stale) };
    if row.standing.finish(token, ending, now) == Fenced::Stale {
        return Ok(Fenced::Stale);
    }
    let order_key = row.order_key.clone().filter(|_| row.standing.state.has_ended());
    if let Some(key) = &order_key {
        let lock = [core.lock_of(key)];
        let locked = core.statements.lock_keys.fetch_all(connection, mode, &[Value::ManyInts(&lock)]).await?;
        // Others would not see the event that has come since the snapshot was taken, and it would wait forever.
        let isolation = locked.first().map(|row| row.try_get::<String, _>("isolation")).transpose()?;
        if isolation.as_deref() != Some("read committed") {
            let reason =
                "an event with an order key can only end in a transaction at the isolation level read committed";
            return Err(sqlx::Error::Configuration(reason.into()));
        }
    }
    let fenced = write_ended(core, Way::Within(connection), &row, token, ending).await?;
    if let Some(key) = order_key.filter(|_| fenced == Fenced::Applied) {
        let keys = [&key[..]];
        let values = [Value::from(now), Value::ManyBytes(&keys)];
        core.statements.go_on.fetch_all(connection, mode, &values).await?;
    }
    Ok(fenced)
}

/// Where a statement runs.
enum Way<'a> {
    /// As a transaction of its own.
    Alone(Instant),
    Within(&'a mut PgConnection),
}

/// Writes the decision about an event, if its holder still holds it.
async fn write_ended(
    core: &Core,
    way: Way<'_>,
    row: &EventRow,
    holder: LeaseToken,
    ending: &Ending,
) -> Result<Fenced, sqlx::Error> {
    let (holder, reason) = (holder.to_bytes(), ending.reason());
    let token = row.standing.token.map(LeaseToken::to_bytes);
    let reason = reason.as_deref().map(kept);
    let lock_timeout = if matches!(way, Way::Alone(_)) { &*core.server.lock_timeout } else { "" };
    let values = [
        Value::from(lock_timeout),
        Value::from(row.seq),
        Value::from(&holder),
        Value::from(number(row.standing.state)),
        Value::from(row.standing.due_at),
        Value::from(i64::from(row.standing.attempt)),
        Value::from(i64::from(row.standing.spent)),
        Value::Bytes(token.as_ref().map(|token| &token[..])),
        Value::Text(reason.as_deref()),
    ];
    let rows = match way {
        Way::Alone(deadline) => core.ask(deadline, &core.statements.finish, &values).await?,
        Way::Within(connection) => core.statements.finish.fetch_all(connection, core.server.mode, &values).await?,
    };
    Ok(applied(!rows.is_empty()))
}

/// When a worker looks again that found everything locked.
const SOON: Duration = Duration::from_millis(20);
