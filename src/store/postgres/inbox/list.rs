use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};

use super::{
    core::Core,
    lease::text,
    rows::{corrupt, id_of, kept, number, number_of, restored, state, until},
};
use crate::{
    clock::{Millis, to_time},
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{Content, InboxId, InboxQuery, InboxRecord, InboxStats, STATS_COUNTED, policy::NEVER},
    store::postgres::{error::store_error, statement::Value},
};

fn record(row: &PgRow) -> Result<InboxRecord, sqlx::Error> {
    let text = |name: &str| -> Result<Option<Arc<str>>, sqlx::Error> {
        Ok(row.try_get::<Option<&str>, _>(name)?.map(restored))
    };
    let required = |name: &str| text(name)?.ok_or(sqlx::Error::RowNotFound);
    let accepted_at = to_time(row.try_get("accepted_at")?);
    let mut record =
        InboxRecord::new(id_of(row.try_get("seq")?), required("consumer")?, required("provider")?, accepted_at);
    (record.tenant, record.delivery_id, record.event_type) =
        (text("tenant")?, text("delivery_id")?, text("event_type")?);
    record.state = state(row.try_get("state")?)?;
    record.attempt = u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX);
    let due_at: Millis = row.try_get("due_at")?;
    record.due_at = (due_at != NEVER).then(|| to_time(due_at));
    record.reason = text("reason")?;
    Ok(record)
}

pub(super) async fn event(core: &Core, id: InboxId) -> Result<Option<InboxRecord>, StoreError> {
    let deadline = core.deadline().await?;
    let rows = core.ask(deadline, &core.statements.event, &[Value::from(number_of(id))]).await;
    let read = |rows: Vec<PgRow>| {
        let Some(row) = rows.first() else { return Ok(None) };
        let mut record = record(row)?;
        let (head, body): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get("head")?, row.try_get("body")?);
        let key: Vec<u8> = row.try_get("key")?;
        record.key = Some(ClaimKey::from_bytes(key.try_into().map_err(|_| corrupt("a key is not of 16 bytes"))?));
        record.content = head.zip(body).map(|(head, body)| Content::new(text(&head), body.into()));
        Ok(Some(record))
    };
    rows.and_then(read).map_err(|error| store_error(error, "read an event of the inbox"))
}

pub(super) async fn events(
    core: &Core,
    consumer: Arc<str>,
    wanted: InboxQuery,
    limit: u32,
) -> Result<Vec<InboxRecord>, StoreError> {
    let deadline = core.deadline().await?;
    let consumer = kept(&consumer);
    let (kind, tenant) = (wanted.event_type.as_deref().map(kept), wanted.tenant.as_deref().map(kept));
    let before = wanted.before.map_or(i64::MAX, number_of);
    let mut values = vec![Value::from(&*consumer), Value::from(before), Value::from(i64::from(limit))];
    values.extend(wanted.state.map(|state| Value::from(number(state))));
    values.extend(kind.as_deref().map(Value::from));
    values.extend(tenant.as_deref().map(Value::from));
    let rows = core.ask(deadline, core.statements.list(&wanted), &values).await;
    let records = rows.and_then(|rows| rows.iter().map(record).collect());
    records.map_err(|error| store_error(error, "list events of the inbox"))
}

pub(super) async fn stats(core: &Core, consumer: Arc<str>) -> Result<InboxStats, StoreError> {
    let deadline = core.deadline().await?;
    let consumer = kept(&consumer);
    let most = i64::try_from(STATS_COUNTED).unwrap_or(i64::MAX);
    let values = [core.offset(), Value::from(&*consumer), Value::from(most)];
    let read = |rows: Vec<PgRow>| {
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let count = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(name)?.unsigned_abs());
        let (now, oldest): (Millis, Option<Millis>) = (row.try_get("now")?, row.try_get("oldest")?);
        let oldest = oldest.map(|at| until(now, at));
        Ok(InboxStats::new(count("pending")?, count("working")?, count("dead")?, oldest))
    };
    let rows = core.ask(deadline, &core.statements.stats, &values).await;
    rows.and_then(read).map_err(|error| store_error(error, "count events of the inbox"))
}
