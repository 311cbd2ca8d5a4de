use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    fault::Fault,
    page::{Frame, html},
    reader::Reader,
    shared::Shared,
    text::{NOTHING, pretty},
};

struct Row {
    name: String,
    description: String,
    version: String,
    schema: Option<String>,
    example: Option<String>,
}

#[derive(Template)]
#[template(path = "event_types.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, reader: Reader) -> Result<Response, Fault> {
    let entries = shared.webhooks.event_types().list().await?;
    let rows = entries.iter().map(|entry| Row {
        name: entry.name().to_owned(),
        description: entry.description_text().to_owned(),
        version: entry.api_version().unwrap_or(NOTHING).to_owned(),
        schema: entry.schema_text().map(str::to_owned),
        example: entry.example_json().map(pretty),
    });
    html(&Page { frame: Frame::new(&reader, "Event types", "Event types"), rows: rows.collect() })
}
