use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{core::Core, moves};
use crate::{
    clock::{Millis, before},
    error::StoreError,
    send::{
        Retention,
        policy::{Aged, Usage, aged, hour},
    },
    store::postgres::{
        error::{no_answer, store_error},
        statement::{Statement, Value},
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "purge the outbox";

/// Each step is a transaction of its own, with the time of a whole call, and takes what nobody has locked, so that nobody waits for
/// it and several processes share the work. It walks what is to be changed, along an index of it: what is not old, or is old and
/// awaited, is not read.
pub(super) async fn purge(outbox: &Core, retention: Retention, limit: u32) -> Result<u64, StoreError> {
    let statements = &outbox.statements;
    let now = outbox.ask(CONTEXT, &statements.now, &[outbox.offset()]).await?;
    let now: i64 = now
        .first()
        .ok_or(sqlx::Error::RowNotFound)
        .and_then(|row| row.try_get("now"))
        .map_err(|error| store_error(error, CONTEXT))?;
    let rows = before(now, retention.rows);
    // The content is removed with the rows at the latest.
    let content = before(now, retention.content).max(rows);
    let most = Value::from(i64::from(limit));

    // In the order in which rows stop being needed. A message with a delivery that has not ended is not changed.
    outbox.ask(CONTEXT, &statements.purge_strays, &[most]).await?;
    let (mut changed, is_due) = go_on_moving(outbox, limit).await?;
    for (statement, values) in [
        (&statements.purge_died, &[Value::from(now), most][..]),
        (&statements.purge_long_held, &[Value::from(rows), most]),
        (&statements.purge_unblocked, &[most]),
    ] {
        changed += ask(outbox, statement, values).await?;
    }
    let hour = i64::from(hour(rows));
    changed += ask(outbox, &statements.purge_stats, &[Value::from(hour), most]).await?;
    let deadline = outbox.deadline().await?;
    changed += transaction!(outbox, deadline, CONTEXT, tx => empty(outbox, &mut tx, content, limit))?;
    for (statement, until) in
        [(&statements.purge_answers, content), (&statements.purge_attempts, rows), (&statements.purge_rows, rows)]
    {
        changed += ask(outbox, statement, &[Value::from(until), most]).await?;
    }
    if is_due {
        outbox.announce();
    }
    Ok(changed)
}

async fn go_on_moving(outbox: &Core, limit: u32) -> Result<(u64, bool), StoreError> {
    let (limit, mut moved, mut is_due) = (i64::from(limit), 0, false);
    while moved < limit {
        let deadline = outbox.deadline().await?;
        let (of_one, of_one_is_due) = moves::go_on(outbox, deadline, None, limit - moved).await?;
        if of_one == 0 {
            break;
        }
        moved += of_one;
        is_due |= of_one_is_due;
    }
    Ok((moved.unsigned_abs(), is_due))
}

async fn ask(outbox: &Core, statement: &Statement, values: &[Value<'_>]) -> Result<u64, StoreError> {
    done(&outbox.ask(CONTEXT, statement, values).await?).map_err(|error| store_error(error, CONTEXT))
}

/// Drops the payloads of old messages. They are locked before it is read what waits for them: what is resent meanwhile keeps
/// its content, or finds none.
async fn empty(outbox: &Core, tx: &mut Tx, until: Millis, limit: u32) -> Result<u64, sqlx::Error> {
    let values = [Value::from(until), Value::from(i64::from(limit))];
    let window = tx.all(&outbox.statements.purge_window, &values).await?;
    let created = window.iter().map(|row| Ok((row.try_get("seq")?, row.try_get("created_at")?)));
    let created = created.collect::<Result<Vec<(i64, Millis)>, sqlx::Error>>()?;
    if created.is_empty() {
        return Ok(0);
    }
    let seqs: Vec<_> = created.iter().map(|(seq, _)| *seq).collect();
    let judged = tx.all(&outbox.statements.purge_judge, &[Value::ManyInts(&seqs)]).await?;
    let created: std::collections::HashMap<_, _> = created.into_iter().collect();

    let (mut awaited, mut blocking) = (Vec::new(), Vec::new());
    let (mut later, mut later_at, mut old, mut used_at) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in &judged {
        let seq: i64 = row.try_get("seq")?;
        let waiting: Option<i64> = row.try_get("awaited")?;
        let created_at = created.get(&seq).copied().unwrap_or_default();
        let mut usage = Usage::new(created_at);
        (usage.is_awaited, usage.last_attempt) = (waiting.is_some(), row.try_get("ended_at")?);
        match aged(usage, until) {
            Aged::Awaited => {
                awaited.push(seq);
                blocking.extend(waiting);
            }
            Aged::Later(at) => {
                later.push(seq);
                later_at.push(at);
            }
            Aged::Old { used_at: at } => {
                old.push(seq);
                used_at.push(at);
            }
        }
    }
    let lists = [&awaited, &blocking, &later, &later_at, &old, &used_at];
    done(&tx.all(&outbox.statements.purge_content, &lists.map(|list| Value::ManyInts(list))).await?)
}

pub(super) async fn erase(outbox: &Core, tenant: Arc<str>, limit: u32) -> Result<u64, StoreError> {
    const CONTEXT: &str = "erase a tenant";

    // The endpoints first, so that nothing more is made for them.
    let deadline = outbox.deadline().await?;
    let (statements, tenant) = (&outbox.statements, &*tenant);
    let endpoints = &statements.erase_endpoints;
    let endpoints = transaction!(outbox, deadline, CONTEXT, tx => erase_of(endpoints, &mut tx, tenant, limit))?;
    let deliveries = transaction!(outbox, deadline, CONTEXT, tx => erase_deliveries(outbox, &mut tx, tenant, limit))?;
    if deliveries >= u64::from(limit) {
        // Its messages cannot be removed while deliveries of them exist.
        return Ok(endpoints + deliveries);
    }
    let messages = &statements.erase_messages;
    let messages = transaction!(outbox, deadline, CONTEXT, tx => erase_of(messages, &mut tx, tenant, limit))?;
    let stats = &statements.erase_stats;
    let stats = transaction!(outbox, deadline, CONTEXT, tx => erase_of(stats, &mut tx, tenant, limit))?;
    Ok(endpoints + deliveries + messages + stats)
}

async fn erase_of(statement: &Statement, tx: &mut Tx, tenant: &str, limit: u32) -> Result<u64, sqlx::Error> {
    done(&tx.all(statement, &[Value::from(tenant), Value::from(i64::from(limit))]).await?)
}

/// A delivery is locked before its attempts are read: one that ends meanwhile has noted its attempt, or finds no delivery.
async fn erase_deliveries(outbox: &Core, tx: &mut Tx, tenant: &str, limit: u32) -> Result<u64, sqlx::Error> {
    let values = [Value::from(tenant), Value::from(i64::from(limit))];
    let rows = tx.all(&outbox.statements.erase_some, &values).await?;
    let some = rows.iter().map(|row| row.try_get("seq")).collect::<Result<Vec<i64>, _>>()?;
    if some.is_empty() {
        return Ok(0);
    }
    done(&tx.all(&outbox.statements.erase_deliveries, &[Value::ManyInts(&some)]).await?)
}

fn done(rows: &[PgRow]) -> Result<u64, sqlx::Error> {
    rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<i64, _>("done").map(i64::unsigned_abs)
}
