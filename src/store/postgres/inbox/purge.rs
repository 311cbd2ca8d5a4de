use std::{sync::Arc, time::Duration};

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{
    change::lock,
    core::Core,
    lease::go_on,
    rows::{bounded, kept},
};
use crate::{
    clock::Millis,
    error::StoreError,
    inbox::InboxRetention,
    store::postgres::{
        error::{no_answer, store_error},
        statement::{Statement, Value},
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "purge the inbox";

/// Each step is a transaction of its own, with the time of a whole call, and takes what nobody has locked. Each walk begins with what
/// ended first, and meets nothing that is not old.
pub(super) async fn purge(
    core: &Core,
    consumer: Arc<str>,
    keep: InboxRetention,
    limit: u32,
) -> Result<u64, StoreError> {
    let consumer = kept(&consumer);
    let consumer = Value::from(&*consumer);
    let deadline = core.deadline().await?;
    let look = core.ask(deadline, &core.statements.look, &[core.offset(), consumer]).await;
    let now = look.and_then(|rows| rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<Millis, _>("now"));
    let now = now.map_err(|error| store_error(error, CONTEXT))?;
    let old = |keep: Duration| now.saturating_sub(bounded(keep));
    let limit = i64::from(limit);
    let most = Value::from(limit);

    let mut removed = step(core, &core.statements.purge_dead, &[consumer, Value::from(old(keep.dead)), most]).await?;
    let mut retention = -1;
    while removed < limit {
        let after = [consumer, Value::from(retention)];
        let rows = core.ask(core.server.deadline(), &core.statements.next_retention, &after).await;
        let rows = rows.map_err(|error| store_error(error, CONTEXT))?;
        let Some(row) = rows.first() else { break };
        retention = row.try_get("retention").map_err(|error| store_error(error, CONTEXT))?;
        let until = now.saturating_sub(retention.max(bounded(keep.content)));
        let values = [consumer, Value::from(until), Value::from(limit - removed), Value::from(retention)];
        removed += step(core, &core.statements.purge_ended, &values).await?;
    }
    let emptied = step(core, &core.statements.purge_full, &[consumer, Value::from(old(keep.content)), most]).await?;
    Ok((removed + emptied).unsigned_abs())
}

async fn step(core: &Core, statement: &Statement, values: &[Value<'_>]) -> Result<i64, StoreError> {
    let rows = core.ask(core.server.deadline(), statement, values).await;
    let done = rows.and_then(|rows| rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("done"));
    done.map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn erase(core: &Core, consumer: Arc<str>, tenant: Arc<str>, limit: u32) -> Result<u64, StoreError> {
    const CONTEXT: &str = "erase a tenant";

    let deadline = core.deadline().await?;
    let (consumer, tenant) = (kept(&consumer), kept(&tenant));
    transaction!(core, deadline, CONTEXT, tx => erase_in(core, &mut tx, (&consumer, &tenant), limit))
}

async fn erase_in(core: &Core, tx: &mut Tx, (consumer, tenant): (&str, &str), limit: u32) -> Result<u64, sqlx::Error> {
    let values = [Value::from(consumer), Value::from(tenant), Value::from(i64::from(limit))];
    let found = tx.all(&core.statements.erase_find, &values).await?;
    let (seqs, keys) = lock(core, tx, &found).await?;
    if seqs.is_empty() {
        return Ok(0);
    }
    let locked: Vec<_> = keys.iter().map(|key| &key[..]).collect();
    let gone = tx.all(&core.statements.erase, &[Value::ManyInts(&seqs), Value::ManyBytes(&locked)]).await?;
    if !keys.is_empty() {
        let now = tx.first(&core.statements.look, &[core.offset(), Value::from(consumer)]).await?;
        let now = now.as_ref().map(|row: &PgRow| row.try_get("now")).ok_or(sqlx::Error::RowNotFound)??;
        go_on(core, tx, keys.iter().map(|key| &key[..]), now).await?;
    }
    Ok(gone.len() as u64)
}
