use sqlx::{Connection, Row, sqlite::SqliteRow};

use super::{Session, begin, corrupt, query};
use crate::{
    error::StoreError,
    observe,
    send::{EventType, SendError},
    store::sqlite::error::store_error,
};

const CONTEXT: &str = "change the catalogue of event types";

pub(super) async fn put(session: &mut Session<'_>, event_types: &[EventType]) -> Result<(), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let prefix = session.prefix;
    let mut tx = begin!(session, CONTEXT);
    for event_type in event_types {
        query(
            prefix,
            "INSERT OR REPLACE INTO {}outbox_event_types (name, description, version, schema) VALUES (?, ?, ?, ?)",
        )
        .bind(event_type.name().to_owned())
        .bind(event_type.description_text().to_owned())
        .bind(event_type.api_version().map(str::to_owned))
        .bind(event_type.schema_text().map(str::to_owned))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

pub(super) async fn list(session: &mut Session<'_>) -> Result<Vec<EventType>, StoreError> {
    let rows =
        query(session.prefix, "SELECT name, description, version, schema FROM {}outbox_event_types ORDER BY name")
            .fetch_all(&mut *session.connection)
            .await
            .map_err(|error| store_error("read the catalogue of event types", error))?;
    Ok(rows.iter().filter_map(|row| readable(row, read(row))).collect())
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

/// Leaves out what cannot be read, and tells the operator.
fn readable(row: &SqliteRow, read: Result<EventType, StoreError>) -> Option<EventType> {
    read.map_err(|error| observe::unreadable("event type", &row.try_get::<&str, _>(0).unwrap_or_default(), &error)).ok()
}

fn read(row: &SqliteRow) -> Result<EventType, StoreError> {
    let undecoded = |error: sqlx::Error| corrupt("a column is of another type").with_source(error);
    let invalid = |error: SendError| corrupt("an event type is none").with_source(error);
    let text = |index: usize| row.try_get::<String, _>(index).map_err(undecoded);
    let optional = |index: usize| row.try_get::<Option<String>, _>(index).map_err(undecoded);

    let mut event_type = EventType::new(text(0)?).map_err(invalid)?.description(text(1)?).map_err(invalid)?;
    if let Some(version) = optional(2)? {
        event_type = event_type.version(version).map_err(invalid)?;
    }
    if let Some(schema) = optional(3)? {
        event_type = event_type.schema(schema).map_err(invalid)?;
    }
    Ok(event_type)
}
