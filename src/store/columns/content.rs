use serde_json::value::RawValue;

use super::{labels::labels, row::Columns};
use crate::{boxed::BoxError, clock::to_time, observe, send::Message};

/// Creates a message from its row, which has its `payload` in addition to the columns of its record. Returns `None` and
/// logs an error if the row cannot be read: a version that allows other event types or ids may have written it.
///
/// # Errors
/// When a column is missing, or of another type.
pub(in crate::store) fn content(row: &impl Columns, payload: String) -> Result<Option<Message>, sqlx::Error> {
    let id = row.text("id")?;
    let (event_type, tenant, version) = (row.text("event_type")?, row.text("tenant")?, row.optional_text("version")?);
    let (happened_at, texts) = (row.int("happened_at")?, row.optional_text("labels")?);
    let order_key = row.optional_text("order_key")?;
    let read = || -> Result<Message, BoxError> {
        let payload = RawValue::from_string(payload)?;
        let message = Message::new(event_type, &payload)?.id(id.parse()?).at(to_time(happened_at)).tenant(tenant);
        let message = message.with_labels(labels(texts.as_deref())?);
        let message = match order_key {
            Some(key) => message.order_key(key),
            None => message,
        };
        Ok(match version {
            Some(version) => message.version(version),
            None => message,
        })
    };
    Ok(read().map_err(|cause| observe::unreadable("message", &id, &*cause)).ok())
}
