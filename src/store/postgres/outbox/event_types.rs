use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};

use super::corrupt;
use crate::{
    error::StoreError,
    observe,
    send::EventType,
    store::postgres::{PostgresStore, statement::Value},
};

pub(super) async fn put(store: &PostgresStore, event_types: Vec<EventType>) -> Result<(), StoreError> {
    // One statement cannot write a row twice; of two of a name the later one stays.
    let by_name: BTreeMap<_, _> = event_types.iter().map(|event_type| (event_type.name(), event_type)).collect();
    let column = |text: fn(&EventType) -> Option<&str>| by_name.values().map(|event_type| text(event_type)).collect();
    let columns: [Vec<_>; 4] = [
        column(|event_type| Some(event_type.name())),
        column(|event_type| Some(event_type.description_text())),
        column(EventType::api_version),
        column(EventType::schema_text),
    ];
    let values = columns.each_ref().map(|texts| Value::ManyTexts(texts));
    store.ask("put event types", &store.statements().put_event_types, &values).await.map(drop)
}

pub(super) async fn list(store: &PostgresStore) -> Result<Vec<EventType>, StoreError> {
    const CONTEXT: &str = "list event types";

    let rows = store.ask(CONTEXT, &store.statements().event_types, &[]).await?;
    let readable = |row: &PgRow| {
        let tell = |cause| {
            let name = row.try_get::<&str, _>("name").unwrap_or_default();
            observe::unreadable("event type", &name, &cause);
        };
        read(row).map_err(tell).ok()
    };
    Ok(rows.iter().filter_map(readable).collect())
}

pub(super) async fn remove(store: &PostgresStore, name: String) -> Result<bool, StoreError> {
    let statement = &store.statements().remove_event_type;
    let rows = store.ask("remove an event type", statement, &[Value::from(&*name)]).await?;
    Ok(!rows.is_empty())
}

fn read(row: &PgRow) -> Result<EventType, sqlx::Error> {
    let invalid = |_| corrupt("an event type of the catalogue is none");
    let text = |column: &str| row.try_get::<String, _>(column);
    let mut event_type = EventType::new(text("name")?).map_err(invalid)?;
    event_type = event_type.description(text("description")?).map_err(invalid)?;
    if let Some(version) = row.try_get::<Option<String>, _>("version")? {
        event_type = event_type.version(version).map_err(invalid)?;
    }
    if let Some(schema) = row.try_get::<Option<String>, _>("schema")? {
        event_type = event_type.schema(schema).map_err(invalid)?;
    }
    Ok(event_type)
}
