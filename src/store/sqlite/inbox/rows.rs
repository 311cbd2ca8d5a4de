use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{
    clock::{Millis, millis},
    idempotency::ClaimKey,
    inbox::{
        EventState, LeaseToken,
        policy::{NEVER, Standing},
    },
};

/// A statement with the names of its tables put in.
pub(super) fn query<'q>(prefix: &str, text: &str) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(text.replace("{}", prefix)))
}

/// The number of a state. Events that have not ended have 0 or 1, as the indexes require.
pub(super) fn number(state: EventState) -> i64 {
    match state {
        EventState::Pending => 0,
        EventState::Working => 1,
        EventState::Done => 2,
        EventState::Discarded => 3,
        EventState::Dead => 4,
    }
}

pub(super) fn state(number: i64) -> Result<EventState, sqlx::Error> {
    EventState::ALL.into_iter().find(|state| self::number(*state) == number).ok_or_else(|| corrupt("unknown state"))
}

pub(super) fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the inbox: {what}").into())
}

/// What changes about an event, with what does not and decides about it.
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) standing: Standing,
    pub(super) order_key: Option<Vec<u8>>,
    pub(super) retention: Duration,
    pub(super) fingerprint: Vec<u8>,
    pub(super) has_content: bool,
}

/// The columns of [`EventRow`], in the order in which it reads them.
pub(super) const STANDING: &str =
    "seq, state, due_at, attempt, spent, token, order_key, retention, fingerprint, has_content";

impl EventRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let count = |index: usize| -> Result<u32, sqlx::Error> {
            let count: i64 = row.try_get(index)?;
            u32::try_from(count).map_err(|_| corrupt("a count is out of range"))
        };
        let token: Option<&[u8]> = row.try_get(5)?;
        let token = token
            .map(|bytes| {
                bytes.try_into().map(LeaseToken::from_bytes).map_err(|_| corrupt("a token is not of 16 bytes"))
            })
            .transpose()?;
        let retention: i64 = row.try_get(7)?;
        Ok(Self {
            seq: row.try_get(0)?,
            standing: Standing::new(state(row.try_get(1)?)?, row.try_get(2)?, (count(3)?, count(4)?), token),
            order_key: row.try_get(6)?,
            retention: Duration::from_millis(u64::try_from(retention).unwrap_or_default()),
            fingerprint: row.try_get(8)?,
            has_content: row.try_get::<i64, _>(9)? != 0,
        })
    }

    /// Writes the standing.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        prefix: &str,
        reason: Option<Arc<str>>,
    ) -> Result<(), sqlx::Error> {
        let Standing { state, due_at, attempt, spent, token, .. } = self.standing;
        query(
            prefix,
            "UPDATE {}inbox_events SET state = ?, due_at = ?, attempt = ?, spent = ?, token = ?, reason = ? WHERE seq = ?",
        )
        .bind(number(state))
        .bind(due_at)
        .bind(i64::from(attempt))
        .bind(i64::from(spent))
        .bind(token.map(|token| token.to_bytes().to_vec()))
        .bind(reason.as_deref().map(str::to_owned))
        .bind(self.seq)
        .execute(connection)
        .await
        .map(drop)
    }
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    prefix: &str,
    seq: i64,
) -> Result<Option<EventRow>, sqlx::Error> {
    let text = format!("SELECT {STANDING} FROM {{}}inbox_events WHERE seq = ?");
    let row = query(prefix, &text).bind(seq).fetch_optional(connection).await?;
    row.as_ref().map(EventRow::read).transpose()
}

/// Whether another event with an order key has not ended.
pub(super) async fn waits(
    connection: &mut SqliteConnection,
    prefix: &str,
    order_key: Option<&[u8]>,
    but: i64,
) -> Result<bool, sqlx::Error> {
    let Some(order_key) = order_key else { return Ok(false) };
    let other = query(
        prefix,
        "SELECT 1 FROM {}inbox_events WHERE order_key = ? AND order_key IS NOT NULL AND state <= 1 AND seq <> ? LIMIT 1",
    );
    Ok(other.bind(order_key.to_vec()).bind(but).fetch_optional(connection).await?.is_some())
}

/// Lets the first event with the order key of one that has ended go on, if no other is due or being worked.
pub(super) async fn go_on(
    connection: &mut SqliteConnection,
    prefix: &str,
    order_key: Option<&[u8]>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let Some(order_key) = order_key else { return Ok(()) };
    // Two places in the index, however many wait: the first of those that wait, and whether one is due, waits for a time or is being worked.
    query(prefix, GO_ON).bind(now).bind(order_key.to_vec()).bind(NEVER).execute(connection).await.map(drop)
}

const GO_ON: &str = "UPDATE {}inbox_events SET due_at = ?1 WHERE seq = (\
     SELECT min(seq) FROM {}inbox_events WHERE order_key = ?2 AND order_key IS NOT NULL AND state <= 1 AND due_at = ?3) \
     AND state = 0 AND NOT EXISTS (\
     SELECT 1 FROM {}inbox_events WHERE order_key = ?2 AND order_key IS NOT NULL AND state <= 1 AND due_at < ?3)";

pub(super) fn key_bytes(key: Option<ClaimKey>) -> Option<Vec<u8>> {
    key.map(|key| key.to_bytes().to_vec())
}

pub(super) fn number_of(id: crate::inbox::InboxId) -> i64 {
    i64::try_from(id.to_u64()).unwrap_or(i64::MAX)
}

/// Whole milliseconds, limited so that their sum with a time does not overflow.
pub(super) fn bounded(duration: Duration) -> i64 {
    /// A thousand years.
    const LONGEST: i64 = 1000 * 365 * 24 * 60 * 60 * 1000;
    millis(duration).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::GO_ON;
    use crate::store::sqlite::inbox::schema::INBOX;

    #[tokio::test]
    async fn what_waits_for_an_order_key_is_found_in_two_places_of_the_index() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for statement in (INBOX.migrations)("").into_iter().flat_map(|migration| migration.statements) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let explain = format!("EXPLAIN QUERY PLAN {}", GO_ON.replace("{}", ""));
        let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();

        for bound in ["order_key=? AND due_at=?", "order_key=? AND due_at<?"] {
            let is_there = plan.iter().any(|step| step.contains("inbox_events_order") && step.contains(bound));
            assert!(is_there, "{bound} in {plan:?}");
        }
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
    }
}
