use std::{collections::HashMap, sync::Arc};

use sqlx::{Row, postgres::PgRow};
use tokio::time::timeout_at;

use super::{
    core::Core,
    lease::{go_on, write},
    rows::{EventRow, kept, number_of},
};
use crate::{
    clock::{Millis, from_time},
    error::StoreError,
    inbox::{Change, Selection},
    store::postgres::{
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

pub(super) async fn change(
    core: &Core,
    consumer: Arc<str>,
    change: Change,
    selection: Selection,
    limit: u32,
) -> Result<u64, StoreError> {
    const CONTEXT: &str = "change events of the inbox";

    let deadline = core.deadline().await?;
    let consumer = kept(&consumer);
    let changed =
        transaction!(core, deadline, CONTEXT, tx => change_in(core, &mut tx, &consumer, (change, &selection, limit)))?;
    if changed > 0 {
        core.announce();
    }
    Ok(changed)
}

async fn change_in(
    core: &Core,
    tx: &mut Tx,
    consumer: &str,
    (change, selection, limit): (Change, &Selection, u32),
) -> Result<u64, sqlx::Error> {
    let consumer = Value::from(consumer);
    let found = match selection {
        Selection::Ids(ids) => {
            let ids: Vec<_> = ids.iter().map(|id| number_of(*id)).collect();
            tx.all(&core.statements.find, &[consumer, Value::ManyInts(&ids)]).await?
        }
        Selection::DiedSince(since) => {
            let with_empty = i64::from(change == Change::Discard);
            let values =
                [consumer, Value::from(from_time(*since)), Value::from(with_empty), Value::from(i64::from(limit))];
            tx.all(&core.statements.find_dead, &values).await?
        }
    };
    let (seqs, keys) = lock(core, tx, &found).await?;
    if seqs.is_empty() {
        return Ok(0);
    }
    // How many of each order key have not ended. Each change adds one, or takes one away.
    let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
    let most = Value::from(seqs.len() as i64 + 1);
    let mut unfinished: HashMap<Vec<u8>, i64> = HashMap::new();
    if !keys.is_empty() {
        for row in tx.all(&core.statements.count_of_keys, &[Value::ManyBytes(&keys), most]).await? {
            unfinished.insert(row.try_get("order_key")?, row.try_get("count")?);
        }
    }
    let rows = tx.all(&core.statements.lock, &[core.offset(), Value::ManyInts(&seqs)]).await?;
    let Some(now) = rows.first().map(|row| row.try_get::<Millis, _>("now")).transpose()? else { return Ok(0) };
    let (mut changed, mut ended) = (Vec::new(), Vec::new());
    for row in &rows {
        if changed.len() >= limit as usize {
            break;
        }
        let mut row = EventRow::read(row)?;
        // It was armed again under another order key meanwhile, whose lock is not held.
        if row.order_key.as_deref().is_some_and(|key| !keys.contains(&key)) {
            continue;
        }
        let mut of_key = row.order_key.as_ref().and_then(|key| unfinished.get_mut(key));
        let had_ended = row.standing.state.has_ended();
        let waits = of_key.as_deref().is_some_and(|count| *count - i64::from(!had_ended) > 0);
        if row.standing.change(change, (waits, row.has_content), now) {
            let has_ended = row.standing.state.has_ended();
            if let Some(count) = &mut of_key {
                **count += i64::from(had_ended) - i64::from(has_ended);
            }
            if has_ended {
                ended.extend(row.order_key.clone());
            }
            changed.push(row);
        }
    }
    if changed.is_empty() {
        return Ok(0);
    }
    let reasons = vec![None; changed.len()];
    write(core, tx, changed.iter().map(|row| (row.seq, &row.standing)), &reasons).await?;
    go_on(core, tx, ended.iter().map(|key| &key[..]), now).await?;
    Ok(changed.len() as u64)
}

/// Takes the locks of the order keys of events that were found. Returns their numbers, and those keys.
pub(super) async fn lock(core: &Core, tx: &mut Tx, found: &[PgRow]) -> Result<(Vec<i64>, Vec<Vec<u8>>), sqlx::Error> {
    let (mut seqs, mut keys) = (Vec::with_capacity(found.len()), Vec::new());
    for row in found {
        seqs.push(row.try_get("seq")?);
        keys.extend(row.try_get::<Option<Vec<u8>>, _>("order_key")?);
    }
    keys.sort_unstable();
    keys.dedup();
    let locks = core.locks(keys.iter().map(|key| &key[..]));
    if !locks.is_empty() {
        tx.all(&core.statements.lock_keys, &[Value::ManyInts(&locks)]).await?;
    }
    Ok((seqs, keys))
}
