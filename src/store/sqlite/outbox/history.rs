//! The history of the backlog: a sample of each minute, and the highest values of each longer step.

use std::time::{Duration, SystemTime};

use sqlx::{Connection, Row, sqlite::SqliteRow};

use super::{
    session::{Session, begin, query},
    stats,
};
use crate::{
    clock::{from_time, millis, to_time},
    error::StoreError,
    send::{Backlog, BacklogSample, SampleStep, Scope},
    store::sqlite::error::store_error,
};

const CONTEXT: &str = "note what waits";

const NOTED: &str = "SELECT 1 FROM {}outbox_backlog WHERE step = ?1 AND start = ?2";

const NOTE: &str = "INSERT INTO {}outbox_backlog (step, start, waiting, oldest_due, unserved) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (step, start) DO UPDATE SET waiting = max(waiting, excluded.waiting), \
     oldest_due = max(oldest_due, excluded.oldest_due), unserved = max(unserved, excluded.unserved)";

const FORGET: &str = "DELETE FROM {}outbox_backlog WHERE step = ?1 AND start < ?2";

const READ: &str = "SELECT start, waiting, oldest_due, unserved FROM {}outbox_backlog \
     WHERE step = ?1 AND start >= ?2 AND start < ?3 ORDER BY start";

/// Returns the backlog to record, or nothing if a worker has recorded this minute.
pub(super) async fn sample(session: &mut Session<'_>) -> Result<Option<Backlog>, StoreError> {
    let step = SampleStep::Minute;
    let noted = query(session.prefix, NOTED).bind(i64::from(step.number())).bind(step.start_of(session.now()));
    let noted = noted.fetch_optional(&mut *session.connection).await.map_err(|error| store_error(CONTEXT, error))?;
    match noted {
        Some(_) => Ok(None),
        None => stats::waiting(session, &Scope::all()).await.map(Some),
    }
}

pub(super) async fn note(session: &mut Session<'_>, backlog: Backlog) -> Result<(), StoreError> {
    let failed = |error| store_error(CONTEXT, error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, CONTEXT);
    for step in SampleStep::ALL {
        let number = i64::from(step.number());
        let noting = query(prefix, NOTE).bind(number).bind(step.start_of(now)).bind(i64::from(backlog.waiting));
        let noting = noting.bind(millis(backlog.oldest_due)).bind(millis(backlog.unserved));
        noting.execute(&mut *tx).await.map_err(failed)?;
        query(prefix, FORGET).bind(number).bind(step.kept_since(now)).execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

pub(super) async fn read(
    session: &mut Session<'_>,
    step: SampleStep,
    since: SystemTime,
    until: SystemTime,
) -> Result<Vec<BacklogSample>, StoreError> {
    let failed = |error| store_error("read what has waited", error);
    let rows = query(session.prefix, READ).bind(i64::from(step.number())).bind(from_time(since)).bind(from_time(until));
    let rows = rows.fetch_all(&mut *session.connection).await.map_err(failed)?;
    rows.iter().map(of_row).collect::<Result<_, _>>().map_err(failed)
}

fn of_row(row: &SqliteRow) -> Result<BacklogSample, sqlx::Error> {
    let number = |index| row.try_get::<i64, _>(index);
    let age = |index| Ok::<_, sqlx::Error>(Duration::from_millis(number(index)?.unsigned_abs()));
    let waiting = u32::try_from(number(1)?).unwrap_or(u32::MAX);
    Ok(BacklogSample::new(to_time(number(0)?), Backlog::new(waiting, age(2)?, age(3)?)))
}

#[cfg(test)]
mod tests {
    use super::{FORGET, NOTE, NOTED, READ};
    use crate::store::sqlite::outbox::schema::tests::plans;

    #[tokio::test]
    async fn samples_are_found_by_their_time() {
        for plan in plans(&[NOTED, NOTE, FORGET, READ]).await {
            assert!(!plan.iter().any(|step| step.starts_with("SCAN ") || step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
