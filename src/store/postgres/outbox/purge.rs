use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::transaction::{Tx, is_conflict, transaction};
use crate::{
    error::StoreError,
    send::Retention,
    store::{
        postgres::{
            PostgresStore,
            error::{no_answer, store_error},
            statement::Value,
        },
        record::before,
    },
};

/// Each step is a transaction of its own, and takes what nobody has locked, so that nobody waits for it.
pub(super) async fn purge(store: &PostgresStore, retention: Retention, limit: u32) -> Result<u64, StoreError> {
    const CONTEXT: &str = "purge the outbox";

    let deadline = store.outbox_deadline().await?;
    let statements = store.statements();
    let steps = async || {
        let now = store.ask_by(deadline, &statements.now, &[store.offset()]).await?;
        let now: i64 = now.first().ok_or(sqlx::Error::RowNotFound)?.try_get("now")?;
        let (content, rows) = (before(now, retention.content), before(now, retention.rows));
        let limit = Value::from(i64::from(limit));
        let mut changed = 0;
        // In the order in which rows lose their meaning. A message that is still to be delivered to somebody is not touched.
        for (statement, until) in [
            (&statements.purge_pending, now),
            (&statements.purge_orphans, now),
            (&statements.purge_long_held, rows),
            (&statements.purge_payloads, content.max(rows)),
            (&statements.purge_answers, content.max(rows)),
            (&statements.purge_attempts, rows),
            (&statements.purge_deliveries, rows),
            (&statements.purge_messages, rows),
        ] {
            changed += done(&store.ask_by(deadline, statement, &[Value::from(until), limit]).await?)?;
        }
        let resumed = done(&store.ask_by(deadline, &statements.purge_held, &[Value::from(now), limit]).await?)?;
        if resumed > 0 {
            store.announce();
        }
        Ok(changed + resumed)
    };
    steps().await.map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn erase(store: &PostgresStore, tenant: Arc<str>, limit: u32) -> Result<u64, StoreError> {
    const CONTEXT: &str = "erase a tenant";

    // The endpoints first, so that nothing more is made for them.
    let deadline = store.outbox_deadline().await?;
    let (statements, tenant) = (store.statements(), &*tenant);
    let endpoints = &statements.erase_endpoints;
    let endpoints = transaction!(store, deadline, CONTEXT, tx => erase_of(endpoints, &mut tx, tenant, limit))?;
    let deliveries = transaction!(store, deadline, CONTEXT, tx => erase_deliveries(store, &mut tx, tenant, limit))?;
    if deliveries >= u64::from(limit) {
        // Its messages would be read in vain for as long as there are deliveries of them.
        return Ok(endpoints + deliveries);
    }
    let messages = &statements.erase_messages;
    let messages = transaction!(store, deadline, CONTEXT, tx => erase_of(messages, &mut tx, tenant, limit))?;
    Ok(endpoints + deliveries + messages)
}

async fn erase_of(statement: &super::Statement, tx: &mut Tx, tenant: &str, limit: u32) -> Result<u64, sqlx::Error> {
    done(&tx.all(statement, &[Value::from(tenant), Value::from(i64::from(limit))]).await?)
}

/// A delivery is locked before its attempts are read: one that ends meanwhile has noted its attempt, or finds no delivery.
async fn erase_deliveries(store: &PostgresStore, tx: &mut Tx, tenant: &str, limit: u32) -> Result<u64, sqlx::Error> {
    let values = [Value::from(tenant), Value::from(i64::from(limit))];
    let rows = tx.all(&store.statements().erase_some, &values).await?;
    let some = rows.iter().map(|row| row.try_get("seq")).collect::<Result<Vec<i64>, _>>()?;
    if some.is_empty() {
        return Ok(0);
    }
    done(&tx.all(&store.statements().erase_deliveries, &[Value::ManyInts(&some)]).await?)
}

fn done(rows: &[PgRow]) -> Result<u64, sqlx::Error> {
    rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<i64, _>("done").map(i64::unsigned_abs)
}
