use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    answer::{any, json},
    caller::Caller,
    input::{Input, some},
    problem::{Always, BadBody, NoSuch, Problem, Quota},
    shared::Shared,
};
use crate::send::{EventTypeDefinition, SendError};

/// An event type of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventTypeEntry {
    /// Its name.
    #[schema(example = "order.completed")]
    name: String,
    /// What it means.
    description: String,
    /// The version of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<String>,
    /// The text that describes its payload, mostly a JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    schema: Option<String>,
    /// An example of its payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = any, required = false)]
    example: Option<Box<RawValue>>,
}

/// The whole catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Catalogue {
    /// The event types, by name.
    data: Vec<EventTypeEntry>,
}

/// Event types to add or replace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutEventTypes {
    /// The event types. Those that have the same name are replaced, and no others.
    #[schema(min_items = 1)]
    data: Vec<PutEventType>,
}

/// An event type to add or replace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutEventType {
    /// Letters, digits, `_` and `-`, in parts with `.`, `/` or `:` between them.
    #[schema(example = "order.completed", pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$", max_length = 128)]
    name: String,
    /// What it means.
    #[serde(default)]
    #[schema(max_length = 4096)]
    description: String,
    /// The version of the API.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", max_length = 64)]
    version: Option<String>,
    /// What describes its payload, mostly a JSON Schema: a text, or any JSON value, which is kept as its text.
    #[schema(schema_with = any, required = false)]
    schema: Option<Box<RawValue>>,
    /// An example of its payload: any JSON value.
    #[schema(schema_with = any, required = false)]
    #[serde(default, deserialize_with = "some")]
    example: Option<Box<RawValue>>,
}

impl PutEventType {
    fn entry(self) -> Result<EventTypeDefinition, (&'static str, SendError)> {
        let mut entry = EventTypeDefinition::new(self.name).map_err(|error| ("name", error))?;
        entry = entry.description(self.description).map_err(|error| ("description", error))?;
        if let Some(version) = self.version {
            entry = entry.version(version).map_err(|error| ("version", error))?;
        }
        if let Some(schema) = self.schema {
            // A string is the text itself.
            let text = serde_json::from_str(schema.get()).unwrap_or_else(|_| schema.get().to_owned());
            entry = entry.schema(text).map_err(|error| ("schema", error))?;
        }
        if let Some(example) = self.example {
            entry = entry.example(example.get()).map_err(|error| ("example", error))?;
        }
        Ok(entry)
    }
}

/// List the event types
#[utoipa::path(
    get, path = "/event-types", tag = "event types", operation_id = "list_event_types",
    responses((status = 200, description = "The catalogue.", body = Catalogue), Always),
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, _: Caller) -> Result<Response, Problem> {
    let entries = shared.webhooks.event_types().list().await?;
    let data = entries.iter().map(|entry| EventTypeEntry {
        name: entry.name().to_owned(),
        description: entry.description_text().to_owned(),
        version: entry.api_version().map(str::to_owned),
        schema: entry.schema_text().map(str::to_owned),
        // It was checked when it was put there.
        example: entry.example_json().and_then(|example| RawValue::from_string(example.to_owned()).ok()),
    });
    Ok(json(StatusCode::OK, &Catalogue { data: data.collect() }))
}

/// Add or replace event types
///
/// All or none. Only an operator may do it.
#[utoipa::path(
    put, path = "/event-types", tag = "event types", operation_id = "put_event_types",
    request_body = PutEventTypes,
    responses((status = 204, description = "They are in the catalogue."), Always, BadBody, Quota),
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Input(input): Input<PutEventTypes>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let mut entries = Vec::with_capacity(input.data.len());
    for (index, entry) in input.data.into_iter().enumerate() {
        let invalid =
            |(field, error): (&str, SendError)| Problem::field(&format!("data/{index}/{field}"), error.to_string());
        entries.push(entry.entry().map_err(invalid)?);
    }
    if entries.is_empty() {
        return Err(Problem::field("data", "name at least one event type"));
    }
    shared.webhooks.event_types().put(entries).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Remove an event type
///
/// Only an operator may do it. Messages of the type can still be dispatched.
#[utoipa::path(
    delete, path = "/event-types/{name}", tag = "event types", operation_id = "remove_event_type",
    params(("name" = String, Path, description = "The name of the event type.")),
    responses((status = 204, description = "It is removed."), Always, NoSuch),
)]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let Path(name) = name.map_err(|_| Problem::not_found("event type"))?;
    // A text that is not the name of any event type names none.
    EventTypeDefinition::new(&*name).map_err(|_| Problem::not_found("event type"))?;
    shared.webhooks.event_types().remove(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
