use sqlx::Connection;

use super::{Session, begin, query};
use crate::{
    error::StoreError,
    send::Retention,
    store::{record::before, sqlite::error::store_error},
};

/// In the order in which rows lose their meaning. A message that is still to be delivered to somebody is not touched.
const STEPS: [(Age, &str); 6] = [
    // A worker died on a delivery whose endpoint was deleted meanwhile.
    (
        Age::Now,
        "UPDATE {}outbox_deliveries SET state = 6 WHERE seq IN (SELECT d.seq FROM {}outbox_deliveries d \
         WHERE d.state IN (0, 1) AND d.due_at < ? \
         AND NOT EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = d.endpoint) LIMIT ?)",
    ),
    (
        Age::Content,
        "UPDATE {}outbox_messages SET payload = NULL WHERE seq IN (SELECT m.seq FROM {}outbox_messages m \
         WHERE m.created_at < ? AND m.payload IS NOT NULL AND NOT EXISTS (\
         SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq AND d.state IN (0, 1, 2)) LIMIT ?)",
    ),
    (
        Age::Content,
        "UPDATE {}outbox_attempts SET answer = x'' WHERE seq IN (\
         SELECT seq FROM {}outbox_attempts WHERE ended_at < ? AND length(answer) > 0 LIMIT ?)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_attempts WHERE seq IN (SELECT seq FROM {}outbox_attempts WHERE ended_at < ? LIMIT ?)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_deliveries WHERE seq IN (SELECT d.seq FROM {}outbox_deliveries d \
         WHERE d.created_at < ? AND d.state NOT IN (0, 1, 2) \
         AND NOT EXISTS (SELECT 1 FROM {}outbox_attempts a WHERE a.delivery = d.seq) LIMIT ?)",
    ),
    (
        Age::Rows,
        "DELETE FROM {}outbox_messages WHERE seq IN (SELECT m.seq FROM {}outbox_messages m WHERE m.created_at < ? \
         AND NOT EXISTS (SELECT 1 FROM {}outbox_deliveries d WHERE d.message = m.seq) LIMIT ?)",
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
            Age::Content => before(now, retention.content),
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
