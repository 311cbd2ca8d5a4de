use std::{sync::Arc, time::Duration};

use sqlx::{Row, SqliteConnection};

use super::rows::{EventRow, STANDING, corrupt, find, go_on, number_of, query};
use crate::{
    clock::Millis,
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        Content, Ending, Fenced, InboxId, InboxLease, InboxLeases, LeaseToken, LeasedEvent,
        policy::{EXHAUSTED, Leased, MOST_EXHAUSTED, NEVER},
    },
    store::sqlite::error::store_error,
};

/// Says when the next event of a consumer is due, if none is now. `None` if one is.
pub(super) async fn look(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &InboxLease,
    now: Millis,
) -> Result<Option<Option<Duration>>, StoreError> {
    let next = next_due(connection, prefix, &request.consumer).await;
    let next = next.map_err(|error| store_error("look for events of the inbox", error))?;
    Ok(match next {
        Some(due_at) if due_at <= now => None,
        next => Some(next.map(|due_at| until(due_at, now))),
    })
}

/// Does what `lease` does inside a transaction that holds the write lock.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &InboxLease,
    now: Millis,
) -> Result<InboxLeases, sqlx::Error> {
    let mut leases = InboxLeases::default();
    loop {
        let room = i64::from(request.limit) - leases.events.len() as i64;
        if room <= 0 || leases.exhausted >= MOST_EXHAUSTED {
            break;
        }
        let text = format!(
            "SELECT {STANDING}, key, accepted_at, head, body FROM {{}}inbox_events \
             WHERE consumer = ? AND state <= 1 AND due_at <= ? ORDER BY due_at, seq LIMIT ?"
        );
        let rows = query(prefix, &text)
            .bind(request.consumer.to_string())
            .bind(now)
            .bind(room)
            .fetch_all(&mut *connection)
            .await?;
        let mut exhausted = 0;
        let mut is_alone = false;
        for row in &rows {
            let mut found = EventRow::read(row)?;
            let was_abandoned = found.standing.was_abandoned();
            if was_abandoned && !leases.events.is_empty() {
                is_alone = true;
                break;
            }
            match found.standing.lease(request.token, request.lease, request.attempts, now) {
                Leased::Exhausted => {
                    exhausted += 1;
                    found.write(connection, prefix, Some(EXHAUSTED.into())).await?;
                    go_on(connection, prefix, found.order_key.as_deref(), now).await?;
                }
                Leased::Taken { round_attempt } => {
                    hold(connection, prefix, &found).await?;
                    let key: &[u8] = row.try_get(10)?;
                    let key = key.try_into().map_err(|_| corrupt("a key is not of 16 bytes"))?;
                    let accepted_at: Millis = row.try_get(11)?;
                    let (head, body): (Option<&str>, Option<Vec<u8>>) = (row.try_get(12)?, row.try_get(13)?);
                    leases.events.push(LeasedEvent::new(
                        InboxId::from_u64(u64::try_from(found.seq).unwrap_or_default()),
                        ClaimKey::from_bytes(key),
                        (found.standing.attempt, round_attempt),
                        Content::new(Arc::from(head.unwrap_or_default()), body.unwrap_or_default().into()),
                        until(now, accepted_at),
                    ));
                    if was_abandoned {
                        is_alone = true;
                        break;
                    }
                }
            }
        }
        leases.exhausted += exhausted;
        // What stands behind a dead one may be due now.
        if exhausted == 0 || is_alone {
            break;
        }
    }
    leases.next_due = next_due(connection, prefix, &request.consumer).await?.map(|due_at| until(due_at, now));
    Ok(leases)
}

/// Notes who holds an event. Why it failed before stays.
async fn hold(connection: &mut SqliteConnection, prefix: &str, row: &EventRow) -> Result<(), sqlx::Error> {
    query(prefix, "UPDATE {}inbox_events SET state = 1, due_at = ?, attempt = ?, token = ? WHERE seq = ?")
        .bind(row.standing.due_at)
        .bind(i64::from(row.standing.attempt))
        .bind(row.standing.token.map(|token| token.to_bytes().to_vec()))
        .bind(row.seq)
        .execute(connection)
        .await
        .map(drop)
}

async fn next_due(
    connection: &mut SqliteConnection,
    prefix: &str,
    consumer: &str,
) -> Result<Option<Millis>, sqlx::Error> {
    let row = query(prefix, "SELECT min(due_at) FROM {}inbox_events WHERE consumer = ? AND state <= 1")
        .bind(consumer.to_owned())
        .fetch_one(connection)
        .await?;
    let due_at: Option<Millis> = row.try_get(0)?;
    Ok(due_at.filter(|due_at| *due_at != NEVER))
}

fn until(later: Millis, earlier: Millis) -> Duration {
    Duration::from_millis(u64::try_from(later.saturating_sub(earlier)).unwrap_or_default())
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, token): (InboxId, LeaseToken),
    lease: Duration,
    now: Millis,
) -> Result<Fenced, sqlx::Error> {
    let Some(mut row) = find(connection, prefix, number_of(id)).await? else { return Ok(Fenced::Stale) };
    let fenced = row.standing.renew(token, lease, now);
    if fenced == Fenced::Applied {
        hold(connection, prefix, &row).await?;
    }
    Ok(fenced)
}

/// Does what `finish` and `finish_in` do inside a transaction.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    prefix: &str,
    (id, token): (InboxId, LeaseToken),
    ending: &Ending,
    now: Millis,
) -> Result<Fenced, sqlx::Error> {
    let Some(mut row) = find(connection, prefix, number_of(id)).await? else { return Ok(Fenced::Stale) };
    let fenced = row.standing.finish(token, ending, now);
    if fenced == Fenced::Applied {
        row.write(connection, prefix, ending.reason()).await?;
        if row.standing.state.has_ended() {
            go_on(connection, prefix, row.order_key.as_deref(), now).await?;
        }
    }
    Ok(fenced)
}
