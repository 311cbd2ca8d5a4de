use sqlx::{Connection, Row, SqliteConnection};

use super::{
    moves,
    session::{Session, begin, query},
};
use crate::{
    clock::{Millis, before},
    error::StoreError,
    send::{
        Retention,
        policy::{Aged, Usage, aged, hour},
    },
    store::sqlite::error::store_error,
};

const CONTEXT: &str = "purge the outbox";

/// What is done under one hold of the write lock. Each step walks what is to be changed, along an index of it: what is not old,
/// or is old and awaited, is not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Drops the payloads and answers of old messages.
    Content,
    /// Holds or cancels deliveries whose worker died and whose endpoint was disabled or deleted in the meantime.
    Died,
    /// Cancels deliveries that were held for so long that their endpoint will not be enabled again.
    LongHeld,
    /// Moves the waiting deliveries of endpoints that were disabled, enabled or deleted.
    Moves,
    /// Removes old messages, their deliveries and attempts.
    Rows,
    /// Removes old counts of attempts.
    Stats,
    /// Looks again at messages that were awaited when they became old.
    Unblocked,
}

impl Step {
    /// In the order in which rows stop being needed.
    pub(super) const ALL: [Self; 7] =
        [Self::Moves, Self::Died, Self::LongHeld, Self::Unblocked, Self::Content, Self::Rows, Self::Stats];
}

pub(super) async fn run(
    session: &mut Session<'_>,
    step: Step,
    retention: Retention,
    limit: u32,
) -> Result<u64, StoreError> {
    if matches!(step, Step::Moves) {
        let (limit, mut moved) = (i64::from(limit), 0);
        while moved < limit {
            match moves::go_on(session, None, limit - moved).await? {
                0 => break,
                of_one => moved += of_one,
            }
        }
        return Ok(moved.unsigned_abs());
    }
    let (now, prefix) = (session.now(), session.prefix);
    let rows = before(now, retention.rows);
    // The content is removed with the rows at the latest.
    let content = before(now, retention.content.min(retention.rows));
    let mut tx = begin!(session, CONTEXT);
    let done = match step {
        Step::Content => empty(&mut tx, prefix, content, limit).await,
        Step::Died => all(&mut tx, prefix, &DIED, now, limit).await,
        Step::LongHeld => all(&mut tx, prefix, &[LONG_HELD], rows, limit).await,
        Step::Moves => Ok(0),
        Step::Rows => remove(&mut tx, prefix, rows, limit).await,
        Step::Stats => all(&mut tx, prefix, &[STATS], hour(rows).into(), limit).await,
        Step::Unblocked => all(&mut tx, prefix, &UNBLOCKED, now, limit).await,
    };
    let done = done.map_err(|error| store_error(CONTEXT, error))?;
    tx.commit().await.map_err(|error| store_error(CONTEXT, error))?;
    Ok(done)
}

const DIED: [&str; 2] = [
    "UPDATE {}outbox_deliveries SET state = 6, token = NULL, due_at = ?1 WHERE seq IN (\
     SELECT d.seq FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_sending \
     WHERE d.state = 1 AND d.due_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = d.endpoint) LIMIT ?2)",
    "UPDATE {}outbox_deliveries SET state = 2, token = NULL, due_at = ?1 WHERE seq IN (\
     SELECT d.seq FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_sending \
     WHERE d.state = 1 AND d.due_at < ?1 \
     AND EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = d.endpoint AND e.disabled IS NOT NULL) LIMIT ?2)",
];

/// A delivery that is still to be moved, since its endpoint was enabled, does not count as held.
const LONG_HELD: &str = "UPDATE {}outbox_deliveries SET state = 6 WHERE seq IN (\
     SELECT d.seq FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_held WHERE d.state = 2 AND d.due_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM {}outbox_moves v WHERE v.endpoint = d.endpoint AND v.target = 0) LIMIT ?2)";

const STATS: &str = "DELETE FROM {}outbox_stats WHERE (tenant, hour, endpoint, ended, bucket) IN (\
     SELECT tenant, hour, endpoint, ended, bucket FROM {}outbox_stats INDEXED BY {}outbox_stats_hour \
     WHERE hour < ?1 LIMIT ?2)";

/// Both choose the same ones.
const UNBLOCKED: [&str; 2] = [
    "UPDATE {}outbox_messages SET purge_after = NULL WHERE ?1 = ?1 AND seq IN (\
     SELECT message FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_unblocked \
     WHERE blocks = 1 AND state > 2 ORDER BY message, seq LIMIT ?2)",
    "UPDATE {}outbox_deliveries SET blocks = 0 WHERE ?1 = ?1 AND seq IN (\
     SELECT seq FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_unblocked \
     WHERE blocks = 1 AND state > 2 ORDER BY message, seq LIMIT ?2)",
];

async fn all(
    connection: &mut SqliteConnection,
    prefix: &str,
    statements: &[&str],
    until: Millis,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    for statement in statements {
        let done = query(prefix, statement).bind(until).bind(i64::from(limit)).execute(&mut *connection).await?;
        changed += done.rows_affected();
    }
    Ok(changed)
}

/// The oldest messages whose time has come, which of their deliveries is awaited, and when the last attempt at them ended.
const WINDOW: &str = "SELECT m.seq, m.created_at, \
     (SELECT d.seq FROM {}outbox_deliveries d WHERE d.message = m.seq AND d.state IN (0, 1, 2) LIMIT 1), \
     (SELECT max(a.ended_at) FROM {}outbox_deliveries d CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq \
     WHERE d.message = m.seq) \
     FROM {}outbox_messages m INDEXED BY {}outbox_messages_content \
     WHERE m.payload IS NOT NULL AND coalesce(m.purge_after, m.created_at) < ?1 \
     ORDER BY coalesce(m.purge_after, m.created_at) LIMIT ?2";

const ANSWERS: &str = "UPDATE {}outbox_attempts SET answer = x'' WHERE seq IN (\
     SELECT a.seq FROM json_each(?1) j CROSS JOIN {}outbox_deliveries d ON d.message = j.value \
     CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq WHERE length(a.answer) > 0)";

const NEVER: &str = "UPDATE {}outbox_messages SET purge_after = 9223372036854775807 \
     WHERE seq IN (SELECT value FROM json_each(?1))";

const BLOCKS: &str = "UPDATE {}outbox_deliveries SET blocks = 1 WHERE seq IN (SELECT value FROM json_each(?1))";

/// Of each message its number and a time.
const LATER: &str = "UPDATE {}outbox_messages SET purge_after = j.value ->> 1 \
     FROM json_each(?1) j WHERE seq = j.value ->> 0";

const EMPTY: &str = "UPDATE {}outbox_messages SET payload = NULL, purge_after = j.value ->> 1 \
     FROM json_each(?1) j WHERE seq = j.value ->> 0";

async fn empty(connection: &mut SqliteConnection, prefix: &str, until: Millis, limit: u32) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    while changed < u64::from(limit) {
        let few = FEW.min(i64::from(limit));
        let rows = query(prefix, WINDOW).bind(until).bind(few).fetch_all(&mut *connection).await?;
        let (mut awaited, mut blocking, mut later, mut old) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let (seq, created_at): (i64, Millis) = (row.try_get(0)?, row.try_get(1)?);
            let waiting: Option<i64> = row.try_get(2)?;
            let mut usage = Usage::new(created_at);
            (usage.is_awaited, usage.last_attempt) = (waiting.is_some(), row.try_get(3)?);
            match aged(usage, until) {
                Aged::Awaited => {
                    awaited.push(seq);
                    blocking.extend(waiting);
                }
                Aged::Later(at) => later.push((seq, at)),
                Aged::Old { used_at } => old.push((seq, used_at)),
            }
        }
        let emptied: Vec<i64> = old.iter().map(|(seq, _)| *seq).collect();
        for (statement, list) in [
            (BLOCKS, list(&blocking)),
            (NEVER, list(&awaited)),
            (LATER, list(&later)),
            (ANSWERS, list(&emptied)),
            (EMPTY, list(&old)),
        ] {
            let Some(list) = list else { continue };
            changed += query(prefix, statement).bind(list).execute(&mut *connection).await?.rows_affected();
        }
        if (rows.len() as i64) < few {
            break;
        }
    }
    Ok(changed)
}

/// The oldest messages without content whose time has come.
const EMPTIED: &str = "SELECT seq FROM {}outbox_messages INDEXED BY {}outbox_messages_rows \
     WHERE payload IS NULL AND coalesce(purge_after, created_at) < ?1 \
     ORDER BY coalesce(purge_after, created_at) LIMIT ?2";

const REMOVE: [&str; 3] = [
    "DELETE FROM {}outbox_attempts WHERE seq IN (\
     SELECT a.seq FROM json_each(?1) j CROSS JOIN {}outbox_deliveries d ON d.message = j.value \
     CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq)",
    "DELETE FROM {}outbox_deliveries WHERE seq IN (\
     SELECT d.seq FROM json_each(?1) j CROSS JOIN {}outbox_deliveries d ON d.message = j.value)",
    "DELETE FROM {}outbox_messages WHERE seq IN (SELECT value FROM json_each(?1))",
];

async fn remove(
    connection: &mut SqliteConnection,
    prefix: &str,
    until: Millis,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    while changed < u64::from(limit) {
        let few = FEW.min(i64::from(limit));
        let rows = query(prefix, EMPTIED).bind(until).bind(few).fetch_all(&mut *connection).await?;
        let seqs = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        let Some(list) = list(&seqs) else { break };
        for statement in REMOVE {
            changed += query(prefix, statement).bind(list.clone()).execute(&mut *connection).await?.rows_affected();
        }
        if (rows.len() as i64) < few {
            break;
        }
    }
    Ok(changed)
}

/// A list for a statement, unless there is nothing in it.
fn list<T: serde::Serialize>(items: &[T]) -> Option<String> {
    let text = || serde_json::to_string(items).expect("numbers can be written as JSON");
    (!items.is_empty()).then(text)
}

/// How many messages are looked at in one step: one message can have thousands of deliveries.
const FEW: i64 = 50;

#[cfg(test)]
mod tests {
    use super::{ANSWERS, BLOCKS, DIED, EMPTIED, EMPTY, LATER, LONG_HELD, NEVER, REMOVE, STATS, UNBLOCKED, WINDOW};
    use crate::store::sqlite::outbox::schema::tests::plans;

    /// Purge runs every minute, so its cost must not depend on rows that are not old.
    #[tokio::test]
    async fn no_step_reads_what_is_not_old() {
        let mut statements = vec![ANSWERS, BLOCKS, EMPTIED, EMPTY, LATER, LONG_HELD, NEVER, STATS, WINDOW];
        statements.extend(DIED.into_iter().chain(REMOVE).chain(UNBLOCKED));
        for plan in plans(&statements).await {
            let of_few = |step: &str| {
                // An index of only those rows that have to be changed.
                step.contains("outbox_deliveries_unblocked") || step.starts_with("SCAN j")
            };
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
