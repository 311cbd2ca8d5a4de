use sqlx::{Connection, Row, sqlite::SqliteRow};

use super::session::{Session, begin, query};
use crate::{
    error::StoreError,
    observe,
    send::EventTypeDefinition,
    store::{columns, sqlite::error::store_error},
};

const CONTEXT: &str = "change the catalogue of event types";

pub(super) async fn put(session: &mut Session<'_>, event_types: &[EventTypeDefinition]) -> Result<(), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let prefix = session.prefix;
    let mut tx = begin!(session, CONTEXT);
    for event_type in event_types {
        query(
            prefix,
            "INSERT OR REPLACE INTO {}outbox_event_types (name, description, version, schema, example) \
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(event_type.name().to_owned())
        .bind(event_type.description_text().to_owned())
        .bind(event_type.api_version().map(str::to_owned))
        .bind(event_type.schema_text().map(str::to_owned))
        .bind(event_type.example_json().map(str::to_owned))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

pub(super) async fn list(session: &mut Session<'_>) -> Result<Vec<EventTypeDefinition>, StoreError> {
    let rows = query(
        session.prefix,
        "SELECT name, description, version, schema, example FROM {}outbox_event_types ORDER BY name",
    )
    .fetch_all(&mut *session.connection)
    .await
    .map_err(|error| store_error("read the catalogue of event types", error))?;
    let readable = |row: &SqliteRow| {
        let tell = |cause| {
            let name = row.try_get::<&str, _>("name").unwrap_or_default();
            observe::unreadable("event type", &name, &cause);
        };
        columns::event_type(row).map_err(tell).ok()
    };
    Ok(rows.iter().filter_map(readable).collect())
}

pub(super) async fn remove(session: &mut Session<'_>, name: String) -> Result<bool, StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let prefix = session.prefix;
    let mut tx = begin!(session, CONTEXT);
    let done = query(prefix, "DELETE FROM {}outbox_event_types WHERE name = ?")
        .bind(name)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}
