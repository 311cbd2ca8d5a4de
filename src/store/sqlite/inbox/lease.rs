use std::{sync::Arc, time::Duration};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::rows::{EventRow, STANDING, corrupt, find, go_on, number_of, query};
use crate::{
    clock::Millis,
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        Content, Ending, Fenced, InboxId, InboxLease, InboxLeases, LeaseToken, LeasedEvent,
        policy::{EXHAUSTED, Leased, MOST_EXHAUSTED, NEVER, room_of_source},
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
    let next = next_due(connection, prefix, request, &[]).await;
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
        let rows = due(connection, prefix, (request, room, now), &leases.events).await?;
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
                    let provider: &str = row.try_get(14)?;
                    leases.events.push(LeasedEvent::new(
                        InboxId::from_u64(u64::try_from(found.seq).unwrap_or_default()),
                        ClaimKey::from_bytes(key),
                        (found.standing.attempt, round_attempt),
                        provider.into(),
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
        // An event that waited for a dead one may be due now.
        if exhausted == 0 || is_alone {
            break;
        }
    }
    leases.next_due = next_due(connection, prefix, request, &leases.events).await?.map(|due_at| until(due_at, now));
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

/// Returns the due events, the earliest first, and of each provider only as many as its limit allows.
async fn due(
    connection: &mut SqliteConnection,
    prefix: &str,
    (request, room, now): (&InboxLease, i64, Millis),
    given: &[LeasedEvent],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let consumer = request.consumer.to_string();
    if request.source_limit.is_none() {
        return query(prefix, &due_text("due", "")).bind(consumer).bind(now).bind(room).fetch_all(connection).await;
    }
    let mut rows = Vec::new();
    for (source, left) in sources(connection, prefix, request, given).await? {
        let of_source = due_text("source", " AND provider = ?4");
        let of_source = query(prefix, &of_source).bind(consumer.clone()).bind(now).bind(room.min(left)).bind(source);
        for row in of_source.fetch_all(&mut *connection).await? {
            rows.push((row.try_get::<Millis, _>(2)?, row.try_get::<i64, _>(0)?, row));
        }
    }
    rows.sort_by_key(|(due_at, seq, _)| (*due_at, *seq));
    Ok(rows.into_iter().take(usize::try_from(room).unwrap_or_default()).map(|(.., row)| row).collect())
}

/// Returns the due events, in the order of an index.
fn due_text(index: &str, source: &str) -> String {
    format!(
        "SELECT {STANDING}, key, accepted_at, head, body, provider FROM {{}}inbox_events INDEXED BY {{}}inbox_events_{index} \
         WHERE consumer = ?1 AND state <= 1 AND due_at <= ?2{source} ORDER BY due_at, seq LIMIT ?3"
    )
}

/// Returns the providers with events that have not ended and that are below their limit, and how many more may be
/// leased. It steps from one provider to the next along an index.
async fn sources(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &InboxLease,
    given: &[LeasedEvent],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let (mut sources, mut last) = (Vec::new(), None::<String>);
    loop {
        let next = query(prefix, if last.is_none() { FIRST_SOURCE } else { NEXT_SOURCE });
        let next = next.bind(request.consumer.to_string());
        let next = if let Some(last) = last { next.bind(last) } else { next };
        let row = next.fetch_one(&mut *connection).await?;
        let Some(source) = row.try_get::<Option<String>, _>(0)? else { return Ok(sources) };
        let given = given.iter().filter(|event| *event.provider == *source).count();
        let left = room_of_source(request, &source, u32::try_from(given).unwrap_or(u32::MAX));
        if left > 0 {
            sources.push((source.clone(), i64::from(left)));
        }
        last = Some(source);
    }
}

/// Each is one place in an index. Without its name SQLite takes that of the states, and reads everything that has not ended.
const NEXT_OF_ALL: &str =
    "SELECT min(due_at) FROM {}inbox_events INDEXED BY {}inbox_events_due WHERE consumer = ?1 AND state <= 1";
const FIRST_SOURCE: &str =
    "SELECT min(provider) FROM {}inbox_events INDEXED BY {}inbox_events_source WHERE consumer = ?1 AND state <= 1";
const NEXT_SOURCE: &str = "SELECT min(provider) FROM {}inbox_events INDEXED BY {}inbox_events_source WHERE consumer = ?1 AND state <= 1 AND provider > ?2";
const NEXT_OF_SOURCE: &str = "SELECT min(due_at) FROM {}inbox_events INDEXED BY {}inbox_events_source WHERE consumer = ?1 AND state <= 1 AND provider = ?2";

async fn next_due(
    connection: &mut SqliteConnection,
    prefix: &str,
    request: &InboxLease,
    given: &[LeasedEvent],
) -> Result<Option<Millis>, sqlx::Error> {
    let consumer = request.consumer.to_string();
    let mut next: Option<Millis> = None;
    if request.source_limit.is_none() {
        next = query(prefix, NEXT_OF_ALL).bind(consumer).fetch_one(connection).await?.try_get(0)?;
    } else {
        for (source, _) in sources(connection, prefix, request, given).await? {
            let of_source = query(prefix, NEXT_OF_SOURCE).bind(consumer.clone()).bind(source);
            let due_at: Option<Millis> = of_source.fetch_one(&mut *connection).await?.try_get(0)?;
            next = next.into_iter().chain(due_at).min();
        }
    }
    Ok(next.filter(|due_at| *due_at != NEVER))
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

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::{FIRST_SOURCE, NEXT_OF_ALL, NEXT_OF_SOURCE, NEXT_SOURCE, due_text};
    use crate::store::sqlite::inbox::schema::INBOX;

    #[tokio::test]
    async fn what_is_due_is_read_from_its_indexes_in_their_order() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for statement in (INBOX.migrations)("").into_iter().flat_map(|migration| migration.statements) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let (of_all, of_source) = (due_text("due", ""), due_text("source", " AND provider = ?4"));
        for (text, bound) in [
            (FIRST_SOURCE, "inbox_events_source (consumer=?)"),
            (NEXT_SOURCE, "inbox_events_source (consumer=? AND provider>?)"),
            (NEXT_OF_SOURCE, "inbox_events_source (consumer=? AND provider=?)"),
            (NEXT_OF_ALL, "inbox_events_due (consumer=?)"),
            (&of_all, "inbox_events_due (consumer=? AND due_at<?)"),
            (&of_source, "inbox_events_source (consumer=? AND provider=? AND due_at<?)"),
        ] {
            let explain = format!("EXPLAIN QUERY PLAN {}", text.replace("{}", ""));
            let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();

            assert!(plan.iter().any(|step| step.contains(bound)), "{text}: {plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{text}: {plan:?}");
        }
    }
}
