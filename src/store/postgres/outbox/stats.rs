use sqlx::{Row, postgres::PgRow};

use super::core::Core;
use crate::{
    error::StoreError,
    send::{AttemptEnd, BACKLOG_COUNTED, Backlog, Scope, StatsCell, policy::backlog},
    store::postgres::{error::store_error, statement::Value},
};

pub(super) async fn read(outbox: &Core, scope: Scope, since: u32, until: u32) -> Result<Vec<StatsCell>, StoreError> {
    const CONTEXT: &str = "read the counts of attempts";

    let endpoint = scope.endpoint.map(|id| id.to_string());
    let mut values = vec![Value::from(i64::from(since)), Value::from(i64::from(until))];
    values.extend(endpoint.as_deref().map(Value::from));
    values.extend(scope.tenant.as_deref().map(Value::from));
    let index = usize::from(endpoint.is_some()) | usize::from(scope.tenant.is_some()) << 1;
    let rows = outbox.ask(CONTEXT, &outbox.statements.stats[index], &values).await?;
    let cells = rows.iter().map(cell).collect::<Result<Vec<_>, _>>().map_err(|error| store_error(error, CONTEXT))?;
    Ok(cells.into_iter().flatten().collect())
}

/// This version ignores outcomes that only a newer version knows.
fn cell(row: &PgRow) -> Result<Option<StatsCell>, sqlx::Error> {
    let (hour, count): (i64, i64) = (row.try_get("hour")?, row.try_get("count")?);
    let (ended, bucket): (i16, i16) = (row.try_get("ended")?, row.try_get("bucket")?);
    let (Ok(hour), Ok(ended), Ok(bucket)) = (hour.try_into(), ended.try_into(), bucket.try_into()) else {
        return Ok(None);
    };
    Ok(AttemptEnd::from_number(ended).map(|end| StatsCell::new(hour, end, bucket, count.unsigned_abs())))
}

pub(super) async fn waiting(outbox: &Core, scope: Scope) -> Result<Backlog, StoreError> {
    const CONTEXT: &str = "read what waits";

    let statements = &outbox.statements;
    let endpoint = scope.endpoint.map(|id| id.to_string());
    let most = Value::from(i64::from(BACKLOG_COUNTED));
    let tenant = scope.tenant.as_deref();
    let (count, count_values, ready, ready_values) = match (endpoint.as_deref(), tenant) {
        (Some(endpoint), tenant) => {
            let of = [Value::from(endpoint), Value::Text(tenant)];
            let (count, ready) = (&statements.count_waiting_of_endpoint, &statements.ready_of_endpoint);
            (count, vec![most, of[0], of[1]], ready, vec![outbox.offset(), of[0], of[1]])
        }
        (None, Some(tenant)) => {
            let (count, ready) = (&statements.count_waiting_of_tenant, &statements.ready_of_tenant);
            (count, vec![most, Value::from(tenant)], ready, vec![outbox.offset(), Value::from(tenant)])
        }
        (None, None) => (&statements.count_waiting, vec![most], &statements.ready, vec![outbox.offset(), most]),
    };
    let count = outbox.ask(CONTEXT, count, &count_values).await?;
    let ready = outbox.ask(CONTEXT, ready, &ready_values).await?;
    let read = || {
        let (count, ready) = (first(&count)?, first(&ready)?);
        let waiting = count.try_get::<i64, _>("waiting")?.unsigned_abs();
        Ok(backlog(waiting, ready.try_get("ready")?, ready.try_get("unserved")?, ready.try_get("now")?))
    };
    read().map_err(|error| store_error(error, CONTEXT))
}

fn first(rows: &[PgRow]) -> Result<&PgRow, sqlx::Error> {
    rows.first().ok_or(sqlx::Error::RowNotFound)
}
