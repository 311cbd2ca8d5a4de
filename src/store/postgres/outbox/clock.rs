//! Corrects leases, rests and due times when the server's clock goes back, as it does after a failover to a server
//! whose clock is behind. Otherwise they would last longer by as much as the clock went back.

use sqlx::Row;
use tokio::time::{Instant, timeout_at};

use super::core::Core;
use crate::{
    clock::{Millis, after, before},
    error::StoreError,
    send::{LONGEST_ASKED_REST, LONGEST_LEASE},
    store::postgres::{
        error::{no_answer, store_error},
        statement::Value,
        tx::{Tx, is_conflict, transaction},
    },
};

const CONTEXT: &str = "look for what was written before the clock went back";

/// Returns `true` if the clock has gone back since this process looked for work last. The first time, the rows decide.
pub(super) async fn went_back(outbox: &Core, deadline: Instant, now: Millis) -> Result<bool, StoreError> {
    let last = match outbox.looks(now) {
        Some(looked_at) => Some(looked_at),
        None => {
            let rows = outbox.ask_by(deadline, &outbox.statements.clock_written, &[]).await;
            let written = rows.and_then(|rows| {
                let Some(row) = rows.first() else { return Ok(None) };
                let lease_ends: Option<Millis> = row.try_get("lease_ends")?;
                let began = lease_ends.map(|ends_at| before(ends_at, LONGEST_LEASE));
                Ok(began.into_iter().chain(row.try_get::<Option<Millis>, _>("written")?).max())
            });
            written.map_err(|error| store_error(error, CONTEXT))?
        }
    };
    Ok(last.is_some_and(|last| last > now.saturating_add(TOLERATED)))
}

/// Corrects what was written before the clock went back, if it did. If that fails, the next look does it.
pub(super) async fn correct(outbox: &Core, now: Millis) {
    let correct = async {
        let deadline = outbox.deadline().await?;
        if went_back(outbox, deadline, now).await? { catch_up(outbox, deadline, now).await } else { Ok(()) }
    };
    if correct.await.is_err() {
        outbox.looks(Millis::MAX);
    }
}

/// Ends leases and rests that end later than is possible, makes due what was dispatched before the clock went back, and
/// has endpoints with something due looked at.
pub(super) async fn catch_up(outbox: &Core, deadline: Instant, now: Millis) -> Result<(), StoreError> {
    transaction!(outbox, deadline, CONTEXT, tx => catch_up_in(outbox, &mut tx, now))
}

async fn catch_up_in(outbox: &Core, tx: &mut Tx, now: Millis) -> Result<(), sqlx::Error> {
    // Endpoints before deliveries: every transaction locks them in this order.
    let rest = Value::from(after(now, LONGEST_ASKED_REST));
    tx.all(&outbox.statements.clock_endpoints, &[Value::from(now), rest]).await?;
    let lease = Value::from(after(now, LONGEST_LEASE));
    tx.all(&outbox.statements.clock_deliveries, &[Value::from(now), lease]).await.map(drop)
}

/// Clocks are often adjusted by this much, and the delay is short.
const TOLERATED: Millis = 1000;
