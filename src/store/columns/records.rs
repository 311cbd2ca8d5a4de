use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use sqlx::Error;

use super::{
    labels::labels,
    row::{Columns, corrupt, count},
    state::state,
};
use crate::{
    clock::to_time,
    send::{
        AttemptRecord, DeliveryRecord, DeliveryState, EventTypeDefinition, MessagePlace, MessageRecord, SentDeliveryId,
        policy::{Due, Looked, shown_due},
    },
};

/// Returns the id of the delivery with a number.
pub(in crate::store) fn outbox_id(seq: i64) -> Result<SentDeliveryId, Error> {
    u64::try_from(seq).map(SentDeliveryId::from_u64).map_err(|_| corrupt("invalid number of a delivery"))
}

/// Returns the number of the delivery with an id. If the id is too large for a row, it returns a number that no row
/// has.
pub(in crate::store) fn seq(id: SentDeliveryId) -> i64 {
    i64::try_from(id.to_u64()).unwrap_or(i64::MAX)
}

/// Reads a delivery that is due.
pub(in crate::store) fn due(row: &impl Columns) -> Result<Due, Error> {
    let mut due = Due::new(outbox_id(row.int("seq")?)?, row.int("created_at")?, row.int("due_at")?);
    due.attempt = count(row.int("attempt")?);
    due.dispatched_at = row.optional_int("dispatched_at")?;
    due.has_content = row.flag("has_content")?;
    due.resent_after = row.optional_int("resent_after")?.map(count);
    due.order_key = row.optional_text("order_key")?.map(Into::into);
    if due.order_key.is_some() {
        (due.is_behind, due.is_beside) = (row.flag("is_behind")?, row.flag("is_beside")?);
    }
    Ok(due)
}

/// Reads a delivery with the id, the event type and the tenant of its message.
pub(in crate::store) fn delivery(row: &impl Columns) -> Result<DeliveryRecord, Error> {
    let state = state(row.int("state")?).ok_or_else(|| corrupt("unknown state of a delivery"))?;
    let created_at = row.int("created_at")?;
    let due_at = row.int("due_at")?;
    Ok(DeliveryRecord {
        id: outbox_id(row.int("seq")?)?,
        message: row.text("id")?.to_owned(),
        event_type: row.text("event_type")?.to_owned(),
        tenant: row.text("tenant")?.into(),
        endpoint: row.text("endpoint")?.parse().map_err(|_| corrupt("invalid endpoint id"))?,
        state,
        attempt: count(row.int("attempt")?),
        created_at: to_time(created_at),
        due_at: if state == DeliveryState::Pending { shown_due(due_at, created_at) } else { None },
    })
}

pub(in crate::store) fn attempt(row: &impl Columns) -> Result<AttemptRecord, Error> {
    let status = row.optional_int("status")?;
    Ok(AttemptRecord {
        attempt: count(row.int("attempt")?),
        manual: row.flag("manual")?,
        ended_at: to_time(row.int("ended_at")?),
        status: status.and_then(|status| u16::try_from(status).ok()),
        error: row.optional_text("error")?,
        duration: Duration::from_millis(u64::try_from(row.int("millis")?).unwrap_or_default()),
        // Nothing once it was dropped.
        answer: Bytes::from(row.optional_bytes("answer")?.unwrap_or_default()),
    })
}

/// Reads a message without its payload.
pub(in crate::store) fn message(row: &impl Columns) -> Result<MessageRecord, Error> {
    let unsigned = |name| u64::try_from(row.int(name)?).map_err(|_| corrupt("a number is negative"));
    let place = MessagePlace::new(unsigned("created_at")?, unsigned("seq")?);
    let happened_at = to_time(row.int("happened_at")?);
    let mut record =
        MessageRecord::new(place, row.text("id")?, row.text("event_type")?, row.text("tenant")?, happened_at);
    record.version = row.optional_text("version")?;
    record.labels = labels(row.optional_text("labels")?.as_deref())?;
    record.order_key = row.optional_text("order_key")?;
    Ok(record)
}

pub(in crate::store) fn event_type(row: &impl Columns) -> Result<EventTypeDefinition, Error> {
    let invalid = |cause| Error::Decode(format!("invalid event type in the catalogue: {cause}").into());
    let mut event_type = EventTypeDefinition::new(row.text("name")?).map_err(invalid)?;
    event_type = event_type.description(row.text("description")?).map_err(invalid)?;
    if let Some(version) = row.optional_text("version")? {
        event_type = event_type.version(version).map_err(invalid)?;
    }
    if let Some(schema) = row.optional_text("schema")? {
        event_type = event_type.schema(schema).map_err(invalid)?;
    }
    if let Some(example) = row.optional_text("example")? {
        event_type = event_type.example(example).map_err(invalid)?;
    }
    Ok(event_type)
}

/// Reads a message at which `recover` looks, and the number of the endpoint's delivery of it, if there is one. Returns
/// `None` if the row has a value that this version does not know.
pub(in crate::store) fn looked(row: &impl Columns) -> Result<Option<(Option<i64>, Looked<'_>)>, Error> {
    let mut looked = Looked::new(row.text("event_type")?);
    looked.has_content = row.flag("has_content")?;
    looked.labels = Cow::Owned(labels(row.optional_text("labels")?.as_deref())?);
    let (addressed, made) = (row.optional_text("addressed")?, row.optional_int("delivery")?);
    looked.addressed = addressed.as_deref().and_then(|id| id.parse().ok());
    looked.made = row.optional_int("state")?.and_then(state);
    let is_known = addressed.is_some() == looked.addressed.is_some() && made.is_some() == looked.made.is_some();
    Ok(is_known.then_some((made, looked)))
}
