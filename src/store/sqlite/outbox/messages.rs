use sqlx::Row;

use super::session::{Session, query};
use crate::{
    error::StoreError,
    send::{MessageQuery, MessageRecord},
    store::{columns, sqlite::error::store_error},
};

const COLUMNS: &str = "seq, id, event_type, tenant, version, labels, order_key, happened_at, created_at";

pub(super) async fn get(
    session: &mut Session<'_>,
    tenant: &str,
    id: String,
) -> Result<Option<MessageRecord>, StoreError> {
    let statement = format!("SELECT {COLUMNS}, payload FROM {{}}outbox_messages WHERE tenant = ? AND id = ?");
    let row = query(session.prefix, &statement)
        .bind(tenant.to_owned())
        .bind(id)
        .fetch_optional(&mut *session.connection)
        .await
        .map_err(|error| store_error("read a message", error))?;
    let Some(row) = row else { return Ok(None) };
    let read = || {
        let mut record = columns::message(&row)?;
        record.payload = row.try_get("payload")?;
        Ok(record)
    };
    read().map(Some).map_err(|error| store_error("read a message", error))
}

pub(super) async fn list(
    session: &mut Session<'_>,
    tenant: &str,
    wanted: MessageQuery,
    limit: u32,
) -> Result<Vec<MessageRecord>, StoreError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let before =
        wanted.before.map_or((i64::MAX, i64::MAX), |before| (number(before.millis()), number(before.number())));
    let rows = query(session.prefix, &page())
        .bind(tenant.to_owned())
        .bind(before.0)
        .bind(before.1)
        .bind(i64::from(limit))
        .fetch_all(&mut *session.connection)
        .await
        .map_err(|error| store_error("list messages", error))?;
    let records = rows.iter().map(columns::message).collect::<Result<_, _>>();
    records.map_err(|error| store_error("list messages", error))
}

/// In the order of the index that `recover` reads too.
fn page() -> String {
    format!(
        "SELECT {COLUMNS} FROM {{}}outbox_messages WHERE tenant = ? AND (created_at, seq) < (?, ?) \
         ORDER BY created_at DESC, seq DESC LIMIT ?"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::schema::tests::plans, page};

    #[tokio::test]
    async fn a_page_of_messages_is_read_from_an_index_in_its_order() {
        let plans = plans(&[&page()]).await;

        assert_eq!(plans[0].len(), 1, "{plans:?}");
        assert!(plans[0][0].starts_with("SEARCH outbox_messages USING INDEX outbox_messages_tenant"), "{plans:?}");
    }
}
