use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use sqlx::{Row, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::sql::Sql;
use crate::{
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ClaimKey, ClaimToken, Fingerprint, StoredResponse,
        record::{Record, State},
    },
};

/// The records that were found under the wanted keys. A record that cannot be read is an error for its key only.
pub(super) type Found = HashMap<ClaimKey, Result<Record, StoreError>>;

/// Reads the records of `keys`, at most [`MAX_ROWS`](super::sql::MAX_ROWS), in one statement.
pub(super) async fn select(
    connection: &mut SqliteConnection,
    sql: &Sql,
    keys: &[ClaimKey],
) -> Result<Found, sqlx::Error> {
    let (statement, size) = sql.select(keys.len());
    let mut query = sqlx::query(statement);
    for key in padded(keys, size) {
        query = query.bind(key.to_bytes().to_vec());
    }

    let mut found = Found::with_capacity(keys.len());
    for row in query.fetch_all(connection).await? {
        let key: &[u8] = row.try_get(0)?;
        // A key of another form cannot be one of the wanted ones.
        if let Ok(key) = key.try_into() {
            found.insert(ClaimKey::from_bytes(key), read(&row));
        }
    }
    Ok(found)
}

/// Writes `records`, at most [`MAX_ROWS`](super::sql::MAX_ROWS), in one statement.
pub(super) async fn upsert(
    connection: &mut SqliteConnection,
    sql: &Sql,
    records: &[(ClaimKey, &Record)],
) -> Result<(), sqlx::Error> {
    let (statement, size) = sql.upsert(records.len());
    let mut query = sqlx::query(statement);
    for (key, record) in padded(records, size) {
        query = query
            .bind(key.to_bytes().to_vec())
            .bind(match record.state {
                State::Pending => PENDING,
                State::Released => RELEASED,
                State::Done => DONE,
            })
            .bind(record.token.to_bytes().to_vec())
            .bind(i64::from(record.attempt))
            .bind(record.fingerprint.to_bytes().to_vec())
            .bind(record.until);
        query = bind_response(query, record.response.as_deref());
    }
    query.execute(connection).await.map(drop)
}

/// Binds the three columns of a stored response.
pub(super) fn bind_response<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    response: Option<&StoredResponse>,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(response.map(|response| i64::from(response.status)))
        .bind(response.and_then(|response| response.content_type.clone()))
        .bind(response.map(|response| response.body.to_vec()))
}

fn read(row: &SqliteRow) -> Result<Record, StoreError> {
    let corrupt = |what: &str| StoreError::new(StoreErrorKind::Corrupt, format!("read a record: {what}"));
    let undecoded = |error: sqlx::Error| corrupt("a column is of another type").with_source(error);

    let state = match row.try_get(1).map_err(undecoded)? {
        PENDING => State::Pending,
        RELEASED => State::Released,
        DONE => State::Done,
        _ => return Err(corrupt("its state is unknown")),
    };
    let token: &[u8] = row.try_get(2).map_err(undecoded)?;
    let attempt: i64 = row.try_get(3).map_err(undecoded)?;
    let fingerprint: &[u8] = row.try_get(4).map_err(undecoded)?;
    let status: Option<i64> = row.try_get(6).map_err(undecoded)?;

    let response = match status {
        None => None,
        Some(status) => {
            let status = status.try_into().map_err(|_| corrupt("its status is out of range"))?;
            let body: Option<Vec<u8>> = row.try_get(8).map_err(undecoded)?;
            let body = Bytes::from(body.unwrap_or_default());
            Some(Arc::new(StoredResponse::new(status, row.try_get(7).map_err(undecoded)?, body)))
        }
    };
    Ok(Record {
        state,
        token: ClaimToken::from_bytes(token.try_into().map_err(|_| corrupt("its token is not of 16 bytes"))?),
        attempt: attempt.try_into().map_err(|_| corrupt("its attempt is out of range"))?,
        fingerprint: Fingerprint::from_bytes(
            fingerprint.try_into().map_err(|_| corrupt("its fingerprint is not of 8 bytes"))?,
        ),
        until: row.try_get(5).map_err(undecoded)?,
        response,
    })
}

/// Repeats the last item until there are `size`: reading or writing it twice changes nothing.
fn padded<T>(items: &[T], size: usize) -> impl Iterator<Item = &T> {
    items.iter().chain(std::iter::repeat_with(|| items.last()).flatten()).take(if items.is_empty() { 0 } else { size })
}

// The numbers are in the statements of `sql` too.
const PENDING: i64 = 0;
const RELEASED: i64 = 1;
const DONE: i64 = 2;
