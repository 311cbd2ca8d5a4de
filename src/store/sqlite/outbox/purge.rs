use sqlx::Connection;

use super::{Session, begin, query};
use crate::{
    error::StoreError,
    send::Retention,
    store::{record::before, sqlite::error::store_error},
};

/// The endpoints that have something pending or leased.
macro_rules! active {
    () => {
        "WITH RECURSIVE active (id) AS (\
         SELECT (SELECT min(endpoint) FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_active \
         WHERE state IN (0, 1)) \
         UNION ALL SELECT (SELECT min(endpoint) FROM {}outbox_deliveries INDEXED BY {}outbox_deliveries_active \
         WHERE state IN (0, 1) AND endpoint > active.id) FROM active WHERE active.id IS NOT NULL) "
    };
}

/// In the order in which rows lose their meaning. A message that is still to be delivered to somebody is kept whole, and none
/// is emptied or removed before the last attempt at it is as old. Each step walks what may be old, from the oldest on, along
/// an index of it: where nothing is, nothing is read.
const STEPS: [(Age, &str); 8] = [
    // A worker died on a delivery whose endpoint was deleted meanwhile.
    (
        Age::Now,
        concat!(
            active!(),
            "UPDATE {}outbox_deliveries SET state = 6, token = NULL WHERE seq IN (SELECT d.seq FROM active \
             CROSS JOIN {}outbox_deliveries d ON d.endpoint = active.id AND d.state IN (0, 1) AND d.due_at < ?1 \
             WHERE NOT EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = active.id) LIMIT ?2)"
        ),
    ),
    // Or disabled.
    (
        Age::Now,
        concat!(
            active!(),
            "UPDATE {}outbox_deliveries SET state = 2, token = NULL, due_at = ?1 WHERE seq IN (SELECT d.seq FROM active \
             CROSS JOIN {}outbox_endpoints e ON e.id = active.id AND e.disabled IS NOT NULL \
             CROSS JOIN {}outbox_deliveries d ON d.endpoint = active.id AND d.state = 1 AND d.due_at < ?1 LIMIT ?2)"
        ),
    ),
    // Nobody enables its endpoint any more.
    (
        Age::Rows,
        "UPDATE {}outbox_deliveries SET state = 6 WHERE seq IN (\
         SELECT seq FROM {}outbox_deliveries WHERE state = 2 AND due_at < ?1 LIMIT ?2)",
    ),
    (
        Age::Content,
        "UPDATE {}outbox_attempts SET answer = x'' WHERE seq IN (SELECT a.seq FROM {}outbox_messages m \
         CROSS JOIN {}outbox_deliveries d ON d.message = m.seq CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq \
         WHERE m.payload IS NOT NULL AND m.created_at < ?1 AND a.ended_at < ?1 AND length(a.answer) > 0 AND NOT EXISTS (\
         SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq AND d.state IN (0, 1, 2)) LIMIT ?2)",
    ),
    (
        Age::Content,
        "UPDATE {}outbox_messages SET payload = NULL WHERE seq IN (SELECT m.seq FROM {}outbox_messages m \
         WHERE m.payload IS NOT NULL AND m.created_at < ?1 AND NOT EXISTS (\
         SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq AND (d.state IN (0, 1, 2) OR EXISTS (\
         SELECT 1 FROM {}outbox_attempts a WHERE a.delivery = d.seq \
         AND (a.ended_at >= ?1 OR length(a.answer) > 0)))) LIMIT ?2)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_attempts WHERE seq IN (SELECT a.seq FROM {}outbox_messages m \
         CROSS JOIN {}outbox_deliveries d ON d.message = m.seq CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq \
         WHERE m.payload IS NULL AND m.created_at < ?1 AND a.ended_at < ?1 LIMIT ?2)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_deliveries WHERE seq IN (SELECT d.seq FROM {}outbox_messages m \
         CROSS JOIN {}outbox_deliveries d ON d.message = m.seq WHERE m.payload IS NULL AND m.created_at < ?1 \
         AND d.created_at < ?1 AND d.state NOT IN (0, 1, 2) \
         AND NOT EXISTS (SELECT 1 FROM {}outbox_attempts a WHERE a.delivery = d.seq) LIMIT ?2)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_messages WHERE seq IN (SELECT m.seq FROM {}outbox_messages m \
         WHERE m.payload IS NULL AND m.created_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq) LIMIT ?2)",
    ),
];

#[derive(Clone, Copy)]
enum Age {
    Content,
    Now,
    Rows,
}

/// Each step holds the write lock for itself, so that nobody waits for all of them.
pub(super) async fn purge(session: &mut Session<'_>, retention: Retention, limit: u32) -> Result<u64, StoreError> {
    let failed = |error| store_error("purge the outbox", error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut changed = 0;
    for (age, statement) in STEPS {
        let until = match age {
            // The content goes with the rows at the latest.
            Age::Content => before(now, retention.content.min(retention.rows)),
            Age::Now => now,
            Age::Rows => before(now, retention.rows),
        };
        let mut tx = begin!(session, "purge the outbox");
        let done =
            query(prefix, statement).bind(until).bind(i64::from(limit)).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        changed += done.rows_affected();
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::STEPS;
    use crate::store::sqlite::outbox::schema::tests::plans;

    /// It comes every hour, however much there is that is not old.
    #[tokio::test]
    async fn no_step_reads_what_is_not_old() {
        for plan in plans(&STEPS.map(|(_, statement)| statement)).await {
            let of_few = |step: &str| matches!(step, "SCAN active" | "SCAN CONSTANT ROW");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && !of_few(step)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
