use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};

use super::corrupt;
use crate::{
    clock::to_time,
    error::StoreError,
    send::{MessagePlace, MessageQuery, MessageRecord},
    store::postgres::{PostgresStore, error::store_error, statement::Value},
};

pub(super) async fn get(
    store: &PostgresStore,
    tenant: Arc<str>,
    id: String,
) -> Result<Option<MessageRecord>, StoreError> {
    const CONTEXT: &str = "read a message";

    let rows = store.ask(CONTEXT, &store.statements().message, &[Value::from(&*tenant), Value::from(&*id)]).await?;
    let record = rows.first().map(|row| {
        let mut record = read(row)?;
        record.payload = row.try_get("payload")?;
        Ok(record)
    });
    record.transpose().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    store: &PostgresStore,
    tenant: Arc<str>,
    wanted: MessageQuery,
    limit: u32,
) -> Result<Vec<MessageRecord>, StoreError> {
    const CONTEXT: &str = "list messages";

    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let before =
        wanted.before.map_or((i64::MAX, i64::MAX), |before| (number(before.millis()), number(before.number())));
    let values = [Value::from(&*tenant), Value::from(before.0), Value::from(before.1), Value::from(i64::from(limit))];
    let rows = store.ask(CONTEXT, &store.statements().messages, &values).await?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| store_error(error, CONTEXT))
}

fn read(row: &PgRow) -> Result<MessageRecord, sqlx::Error> {
    let unsigned = |number: i64| u64::try_from(number).map_err(|_| corrupt("a number is negative"));
    let place = MessagePlace::new(unsigned(row.try_get("created_at")?)?, unsigned(row.try_get("seq")?)?);
    let text = |column: &str| row.try_get::<String, _>(column);
    let mut record = MessageRecord::new(
        place,
        text("id")?,
        text("event_type")?,
        text("tenant")?,
        to_time(row.try_get("happened_at")?),
    );
    record.version = row.try_get("version")?;
    Ok(record)
}
