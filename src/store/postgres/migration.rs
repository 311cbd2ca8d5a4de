use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{error::has_code, statement::Tables};
use crate::error::{StoreError, StoreErrorKind};

/// One step of the schema. Steps are never changed once published, and only add within a minor version.
pub(super) struct Migration {
    pub(super) version: i32,
    /// The oldest schema version whose crate still works on the tables after this step.
    pub(super) oldest_reader: i32,
    pub(super) sql: &'static str,
}

pub(super) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, oldest_reader: 1, sql: include_str!("migrations/1_claims.sql") }];

/// What the tables say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// This version of the crate works with them, perhaps beside a newer one.
    Fits,
    /// They are not there, or end with an older step.
    Behind { version: i32 },
    /// A newer version of the crate has changed them so that this one cannot work with them.
    TooNew { version: i32 },
}

impl Schema {
    pub(super) fn into_result(self) -> Result<(), StoreError> {
        let message = match self {
            Self::Fits => return Ok(()),
            Self::Behind { version: 0 } => {
                "there are no tables; call `PostgresStore::migrate`, or connect with `PostgresStore::connect`"
                    .to_owned()
            }
            Self::Behind { version } => format!(
                "the tables are of version {version}, this crate needs {LATEST}; call `PostgresStore::migrate`, or \
                 connect with `PostgresStore::connect`"
            ),
            Self::TooNew { version } => format!(
                "the tables are of version {version} and cannot be shared with this crate, which knows {LATEST}; \
                 upgrade `tower-webhooks`"
            ),
        };
        Err(StoreError::new(StoreErrorKind::Schema, message))
    }
}

/// Tells how far the tables are, from what [`READ`] gave.
pub(super) fn schema(row: Result<Option<PgRow>, sqlx::Error>) -> Result<Schema, sqlx::Error> {
    match row {
        Ok(Some(row)) => Ok(judge(row.try_get("version")?, row.try_get("oldest_reader")?)),
        Ok(None) => Err(sqlx::Error::RowNotFound),
        Err(error) if has_code(&error, "42P01") || has_code(&error, "3F000") => Ok(Schema::Behind { version: 0 }),
        Err(error) => Err(error),
    }
}

/// Applies the missing steps. The caller's transaction is read committed, so that each statement sees what another
/// migration has committed while this one waited for the lock.
pub(super) async fn apply(connection: &mut PgConnection, tables: &Tables) -> Result<Schema, sqlx::Error> {
    // Ends with the transaction, which also holds behind a pooler. One for all prefixes: migrations are rare.
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    if let Some(schema) = &tables.schema {
        // `CREATE SCHEMA IF NOT EXISTS` asks for the right to create even if there is nothing to do.
        let exists = format!("SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'");
        if sqlx::raw_sql(AssertSqlSafe(exists)).fetch_optional(&mut *connection).await?.is_none() {
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).execute(&mut *connection).await?;
        }
    }
    sqlx::raw_sql(AssertSqlSafe(tables.fill(CREATE_MIGRATIONS))).execute(&mut *connection).await?;

    let version = match schema(sqlx::raw_sql(AssertSqlSafe(tables.fill(READ))).fetch_optional(&mut *connection).await)?
    {
        Schema::Behind { version } => version,
        done => return Ok(done),
    };
    for step in MIGRATIONS.iter().filter(|step| step.version > version) {
        sqlx::raw_sql(AssertSqlSafe(tables.fill(step.sql))).execute(&mut *connection).await?;
        let record = tables.fill(&format!(
            "INSERT INTO {{migrations}} (version, oldest_reader) VALUES ({}, {})",
            step.version, step.oldest_reader
        ));
        sqlx::raw_sql(AssertSqlSafe(record)).execute(&mut *connection).await?;
    }
    Ok(Schema::Fits)
}

/// Newer tables are fine as long as all their steps let this version read.
fn judge(version: i32, oldest_reader: i32) -> Schema {
    if oldest_reader > LATEST {
        Schema::TooNew { version }
    } else if version < LATEST {
        Schema::Behind { version }
    } else {
        Schema::Fits
    }
}

const LATEST: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

pub(super) const READ: &str = "SELECT coalesce(max(version), 0) AS version, coalesce(max(oldest_reader), 0) AS oldest_reader \
                    FROM {migrations}";

const CREATE_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS {migrations} (
    version       integer     PRIMARY KEY,
    -- the oldest schema version whose crate may still use the tables
    oldest_reader integer     NOT NULL,
    applied_at    timestamptz NOT NULL DEFAULT now()
)";

/// The number is arbitrary, and must never change.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7953722451193047219)";

#[cfg(test)]
mod tests {
    use super::{LATEST, MIGRATIONS, Schema, judge};
    use crate::error::StoreErrorKind;

    #[test]
    fn steps_are_numbered_from_one_and_readable_by_somebody() {
        for (index, step) in MIGRATIONS.iter().enumerate() {
            assert_eq!(step.version as usize, index + 1);
            assert!(step.oldest_reader <= step.version);
        }
    }

    #[test]
    fn a_newer_schema_that_only_adds_is_shared() {
        assert_eq!(judge(LATEST + 1, LATEST), Schema::Fits);
    }

    #[test]
    fn a_newer_schema_that_breaks_is_refused_with_the_remedy() {
        let error = judge(LATEST + 1, LATEST + 1).into_result().unwrap_err();

        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("upgrade"), "{error}");
    }
}
