//! The history of the backlog: a sample of each minute, and the highest values of each longer step.

use std::time::{Duration, SystemTime};

use sqlx::{Row, postgres::PgRow};

use super::{core::Core, stats};
use crate::{
    clock::{from_time, millis, to_time},
    error::StoreError,
    send::{Backlog, BacklogSample, SampleStep, Scope},
    store::postgres::{error::store_error, statement::Value},
};

/// Records the backlog, unless another worker has recorded this minute. If two do it at the same time, they write the
/// same rows, which keep the higher values.
pub(super) async fn sample(outbox: &Core) -> Result<bool, StoreError> {
    const CONTEXT: &str = "note what waits";

    let statements = &outbox.statements;
    let minute = Value::from(millis(SampleStep::Minute.length()));
    let noted = outbox.ask(CONTEXT, &statements.backlog_noted, &[outbox.offset(), minute]).await?;
    let noted = noted.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get("noted"));
    if noted.map_err(|error| store_error(error, CONTEXT))? {
        return Ok(false);
    }
    let Backlog { waiting, oldest_due, unserved } = stats::waiting(outbox, Scope::all()).await?;
    let [numbers, lengths, kept] = [
        SampleStep::ALL.map(|step| i64::from(step.number())),
        SampleStep::ALL.map(|step| millis(step.length())),
        SampleStep::ALL.map(|step| millis(step.kept())),
    ];
    let values = [
        outbox.offset(),
        Value::from(i64::from(waiting)),
        Value::from(millis(oldest_due)),
        Value::from(millis(unserved)),
        Value::ManyInts(&numbers),
        Value::ManyInts(&lengths),
        Value::ManyInts(&kept),
    ];
    outbox.ask(CONTEXT, &statements.backlog_note, &values).await?;
    Ok(true)
}

pub(super) async fn read(
    outbox: &Core,
    step: SampleStep,
    since: SystemTime,
    until: SystemTime,
) -> Result<Vec<BacklogSample>, StoreError> {
    const CONTEXT: &str = "read what has waited";

    let values = [i64::from(step.number()), from_time(since), from_time(until)].map(Value::from);
    let rows = outbox.ask(CONTEXT, &outbox.statements.backlog_samples, &values).await?;
    rows.iter().map(of_row).collect::<Result<_, _>>().map_err(|error| store_error(error, CONTEXT))
}

fn of_row(row: &PgRow) -> Result<BacklogSample, sqlx::Error> {
    let number = |name: &str| row.try_get::<i64, _>(name);
    let age = |name: &str| Ok::<_, sqlx::Error>(Duration::from_millis(number(name)?.unsigned_abs()));
    let waiting = u32::try_from(number("waiting")?).unwrap_or(u32::MAX);
    let backlog = Backlog::new(waiting, age("oldest_due")?, age("unserved")?);
    Ok(BacklogSample::new(to_time(number("start")?), backlog))
}
