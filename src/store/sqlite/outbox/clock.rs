//! Corrects leases and rests when the machine's clock is set back. Otherwise they would last longer by as much as the
//! clock was set back.

use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::SqliteConnection;

use super::{script::Value, session::query};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    send::{LONGEST_ASKED_REST, LONGEST_LEASE},
    store::sqlite::error::store_error,
};

const CONTEXT: &str = "look for what was written before the clock was set back";

/// What was dispatched before the clock was set back, and not attempted since.
const DISPATCHED: &str = "UPDATE {}outbox_deliveries SET due_at = ?1 WHERE seq IN (\
     SELECT d.seq FROM {}outbox_endpoints e INDEXED BY {}outbox_endpoints_look \
     CROSS JOIN {}outbox_deliveries d INDEXED BY {}outbox_deliveries_waiting ON d.endpoint = e.id AND d.due_at > ?1 \
     WHERE e.disabled IS NULL AND e.look_at > -1000000000 \
     AND d.state IN (0, 1) AND d.state = 0 AND d.attempt = 0 AND d.created_at > ?1)";

/// Endpoints that were to be looked at when it was later, and have something due now.
const LOOKED_AT: &str = "UPDATE {}outbox_endpoints AS e SET look_at = max(?1, e.ready_at) WHERE e.id IN (\
     SELECT l.id FROM {}outbox_endpoints l INDEXED BY {}outbox_endpoints_look \
     WHERE l.disabled IS NULL AND l.look_at > ?1 AND l.look_at > l.ready_at \
     AND EXISTS (SELECT 1 FROM {}outbox_deliveries d WHERE d.endpoint = l.id AND d.state IN (0, 1) AND d.due_at <= ?1))";

/// Returns the values of [`LATE`](super::sql::LATE) and [`END`](super::sql::END).
pub(super) fn latest(now: Millis) -> [Value; 3] {
    [after(now, LONGEST_LEASE), after(now, LONGEST_ASKED_REST), now].map(Value::from)
}

/// Notes when something is leased, and returns `true` if the clock has gone back since the last time. The first time it
/// returns `true`, since the clock may have gone back.
pub(super) fn went_back(leased_at: &AtomicI64, now: Millis) -> bool {
    leased_at.swap(now, Ordering::Relaxed) > now.saturating_add(TOLERATED)
}

/// Makes deliveries due that were dispatched before the clock was set back, and makes workers look at endpoints with
/// due deliveries.
pub(super) async fn make_due(connection: &mut SqliteConnection, prefix: &str, now: Millis) -> Result<(), StoreError> {
    for statement in [DISPATCHED, LOOKED_AT] {
        let done = query(prefix, statement).bind(now).execute(&mut *connection).await;
        done.map_err(|error| store_error(CONTEXT, error))?;
    }
    Ok(())
}

/// Clocks are often adjusted by this much, and the delay is short.
const TOLERATED: Millis = 1000;

#[cfg(test)]
mod tests {
    use super::{DISPATCHED, LOOKED_AT};
    use crate::store::sqlite::outbox::{
        schema::tests::plans,
        sql::{END, LATE},
    };

    #[tokio::test]
    async fn no_look_reads_what_ends_in_time() {
        for plan in plans(&[LATE, END[0], END[1], DISPATCHED, LOOKED_AT]).await {
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW"), "{plan:?}");
        }
    }
}
