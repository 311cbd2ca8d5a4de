use std::sync::Arc;

use sqlx::Row;

use super::core::Core;
use crate::{
    error::StoreError,
    send::{MessageQuery, MessageRecord},
    store::{
        columns,
        postgres::{error::store_error, statement::Value},
    },
};

pub(super) async fn get(outbox: &Core, tenant: Arc<str>, id: String) -> Result<Option<MessageRecord>, StoreError> {
    const CONTEXT: &str = "read a message";

    let rows = outbox.ask(CONTEXT, &outbox.statements.message, &[Value::from(&*tenant), Value::from(&*id)]).await?;
    let record = rows.first().map(|row| {
        let mut record = columns::message(row)?;
        record.payload = row.try_get("payload")?;
        Ok(record)
    });
    record.transpose().map_err(|error| store_error(error, CONTEXT))
}

pub(super) async fn list(
    outbox: &Core,
    tenant: Arc<str>,
    wanted: MessageQuery,
    limit: u32,
) -> Result<Vec<MessageRecord>, StoreError> {
    const CONTEXT: &str = "list messages";

    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let before =
        wanted.before.map_or((i64::MAX, i64::MAX), |before| (number(before.millis()), number(before.number())));
    let values = [Value::from(&*tenant), Value::from(before.0), Value::from(before.1), Value::from(i64::from(limit))];
    let rows = outbox.ask(CONTEXT, &outbox.statements.messages, &values).await?;
    rows.iter().map(columns::message).collect::<Result<_, _>>().map_err(|error| store_error(error, CONTEXT))
}
