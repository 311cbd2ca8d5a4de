use std::collections::HashSet;

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{
    core::Core,
    insert::{CONTEXT, Draft, Way, bytes_of, guard_of, insert, order_of, slices},
    rows::{EventRow, bounded, kept},
    shared::Inbox,
};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Accepted, EventDraft,
        policy::{self, Found, Standing},
    },
    store::postgres::{
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

pub(super) async fn accept(inbox: &Inbox, request: AcceptRequest) -> Result<Vec<Accepted>, StoreError> {
    let core = &inbox.core;
    let deadline = core.deadline().await?;
    let mut request = request;
    if is_simple(&request)
        && let Some(event) = request.events.pop()
    {
        let (event, accepted) = inbox.group.accept(core, request.consumer.clone(), event).await?;
        match accepted {
            Some(accepted) => return Ok(announced(core, vec![accepted])),
            // The stored event is dead or expired, so it has to be replaced under a lock.
            None => request.events.push(event),
        }
    }
    for _ in 0..TRIES {
        match transaction!(core, deadline, CONTEXT, tx => accept_in(core, &mut tx, &request)) {
            Ok(accepted) => return Ok(announced(core, accepted)),
            // It was rolled back.
            Err(error) if was_overtaken(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::new(StoreErrorKind::Busy, "accept events: one of them is being changed again and again"))
}

fn announced(core: &Core, accepted: Vec<Accepted>) -> Vec<Accepted> {
    if accepted.iter().any(policy::is_stored) {
        core.announce();
    }
    accepted
}

/// Returns `true` if only the row with the same key decides about the event.
fn is_simple(request: &AcceptRequest) -> bool {
    matches!(&request.events[..], [event] if event.order_key.is_none() && event.guard.is_none())
        && request.limit.is_none()
}

/// Does what `accept` does in a transaction.
async fn accept_in(core: &Core, tx: &mut Tx, request: &AcceptRequest) -> Result<Vec<Accepted>, sqlx::Error> {
    let events = &request.events;
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let (orders, guards) = (bytes_of(events.iter(), order_of), bytes_of(events.iter(), guard_of));
    let locks = core.locks(orders.iter().chain(&guards).map(|key| &key[..]).filter(|key| !key.is_empty()));
    if !locks.is_empty() {
        tx.all(&core.statements.lock_keys, &[Value::ManyInts(&locks)]).await?;
    }
    let looked = look(core, tx, request, (&orders, &guards)).await?;
    let room = request.limit.map(|limit| (looked.unfinished, limit));
    let found = |index: usize| {
        let (row, is_guarded, _) = &looked.events[index];
        Found::new(row.as_ref().map(|row| (row.standing, row.retention, row.differs(&events[index]))), *is_guarded)
    };
    let answers = policy::accept(events, found, room, looked.now);

    // Events of one call wait for each other too.
    let mut comes = HashSet::new();
    let (mut fresh, mut old, mut armed) = (Vec::new(), (Vec::new(), Vec::new()), Vec::new());
    for ((event, answer), (row, _, waits)) in events.iter().zip(&answers).zip(&looked.events) {
        if !policy::is_stored(answer) {
            continue;
        }
        let waits = *waits || event.order_key.is_some_and(|key| !comes.insert(key.to_bytes()));
        match (answer, row) {
            (Accepted::Rearmed { .. }, Some(row)) => {
                let mut standing = row.standing;
                standing.rearm(waits, looked.now);
                armed.push((event, row, standing));
            }
            (_, row) => {
                if let Some(row) = row {
                    old.0.push(row.seq);
                    old.1.push(row.standing.due_at);
                }
                fresh.push(Draft { consumer: &request.consumer, event, waits });
            }
        }
    }
    if !old.0.is_empty() {
        let removed = tx.all(&core.statements.remove_old, &[Value::ManyInts(&old.0), Value::ManyInts(&old.1)]).await?;
        if removed.len() != old.0.len() {
            return Err(overtaken());
        }
    }
    if !fresh.is_empty() {
        let rows = insert(core, Way::Within(tx), &fresh).await?;
        let are_new = rows.iter().map(|row| row.try_get("is_new")).collect::<Result<Vec<bool>, _>>()?;
        if are_new.len() != fresh.len() || are_new.contains(&false) {
            return Err(overtaken());
        }
    }
    for (event, row, standing) in armed {
        if !rearm(core, tx, event, (row, &standing), looked.now).await? {
            return Err(overtaken());
        }
    }
    Ok(answers)
}

/// The facts about events before they are stored.
struct Looked {
    now: Millis,
    unfinished: u64,
    /// The row of each key, whether its body is guarded under another one, and whether another of its order key has not ended.
    events: Vec<(Option<EventRow>, bool, bool)>,
}

async fn look(
    core: &Core,
    tx: &mut Tx,
    request: &AcceptRequest,
    (orders, guards): (&[Vec<u8>], &[Vec<u8>]),
) -> Result<Looked, sqlx::Error> {
    let keys: Vec<_> = request.events.iter().map(|event| event.key.to_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let (orders, guards) = (slices(orders), slices(guards));
    let consumer = kept(&request.consumer);
    let values = [
        core.offset(),
        Value::ManyBytes(&keys),
        Value::ManyBytes(&orders),
        Value::ManyBytes(&guards),
        Value::from(&*consumer),
        Value::Int(request.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX - 1).min(i64::MAX - 1))),
    ];
    let rows = tx.all(&core.statements.gather, &values).await?;
    let first = rows.first().filter(|_| rows.len() == keys.len()).ok_or(sqlx::Error::RowNotFound)?;
    let read = |row: &PgRow| Ok((EventRow::find(row)?, row.try_get("is_guarded")?, row.try_get("waits")?));
    Ok(Looked {
        now: first.try_get("now")?,
        unfinished: first.try_get::<Option<i64>, _>("unfinished")?.unwrap_or_default().unsigned_abs(),
        events: rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?,
    })
}

async fn rearm(
    core: &Core,
    tx: &mut Tx,
    event: &EventDraft,
    (row, standing): (&EventRow, &Standing),
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let [tenant, id, kind] =
        [&event.tenant, &event.delivery_id, &event.event_type].map(|text| text.as_deref().map(kept));
    let (order_key, guard) = (event.order_key.map(ClaimKey::to_bytes), event.guard.map(|guard| guard.key.to_bytes()));
    let fingerprint = event.fingerprint.to_bytes();
    let values = [
        Value::from(row.seq),
        Value::from(row.standing.due_at),
        Value::from(now),
        Value::from(standing.due_at),
        Value::from(i64::from(standing.attempt)),
        Value::from(i64::from(standing.spent)),
        Value::from(&fingerprint),
        Value::from(bounded(event.retention)),
        Value::Bytes(order_key.as_ref().map(|key| &key[..])),
        Value::Bytes(guard.as_ref().map(|key| &key[..])),
        Value::Int(event.guard.map(|guard| now.saturating_add(bounded(guard.window)))),
        Value::Text(tenant.as_deref()),
        Value::Text(id.as_deref()),
        Value::Text(kind.as_deref()),
        Value::Bytes(Some(event.content.head.as_bytes())),
        Value::Bytes(Some(&event.content.body)),
    ];
    Ok(!tx.all(&core.statements.rearm, &values).await?.is_empty())
}

/// Something has changed between the look and the write, so that nothing may be committed.
fn overtaken() -> sqlx::Error {
    sqlx::Error::InvalidArgument(OVERTAKEN.to_owned())
}

fn was_overtaken(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<sqlx::Error>());
    matches!(cause, Some(sqlx::Error::InvalidArgument(text)) if text == OVERTAKEN)
}

const OVERTAKEN: &str = "an event has changed meanwhile";

/// The first one may meet an event that has been changed since it began; the second one sees it.
const TRIES: usize = 3;
