use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};

use super::core::Core;
use crate::{
    error::StoreError,
    observe,
    send::EventTypeDefinition,
    store::{columns, postgres::statement::Value},
};

pub(super) async fn put(outbox: &Core, event_types: Vec<EventTypeDefinition>) -> Result<(), StoreError> {
    // One statement cannot write a row twice; of two of a name the later one stays.
    let by_name: BTreeMap<_, _> = event_types.iter().map(|event_type| (event_type.name(), event_type)).collect();
    let column =
        |text: fn(&EventTypeDefinition) -> Option<&str>| by_name.values().map(|event_type| text(event_type)).collect();
    let columns: [Vec<_>; 5] = [
        column(|event_type| Some(event_type.name())),
        column(|event_type| Some(event_type.description_text())),
        column(EventTypeDefinition::api_version),
        column(EventTypeDefinition::schema_text),
        column(EventTypeDefinition::example_json),
    ];
    let values = columns.each_ref().map(|texts| Value::ManyTexts(texts));
    outbox.ask("put event types", &outbox.statements.put_event_types, &values).await.map(drop)
}

pub(super) async fn list(outbox: &Core) -> Result<Vec<EventTypeDefinition>, StoreError> {
    const CONTEXT: &str = "list event types";

    let rows = outbox.ask(CONTEXT, &outbox.statements.event_types, &[]).await?;
    let readable = |row: &PgRow| {
        let tell = |cause| {
            let name = row.try_get::<&str, _>("name").unwrap_or_default();
            observe::unreadable("event type", &name, &cause);
        };
        columns::event_type(row).map_err(tell).ok()
    };
    Ok(rows.iter().filter_map(readable).collect())
}

pub(super) async fn remove(outbox: &Core, name: String) -> Result<bool, StoreError> {
    let statement = &outbox.statements.remove_event_type;
    let rows = outbox.ask("remove an event type", statement, &[Value::from(&*name)]).await?;
    Ok(!rows.is_empty())
}
