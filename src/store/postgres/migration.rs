use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{error::has_code, statement::Tables};
use crate::error::{StoreError, StoreErrorKind};

/// Tables that are migrated together. A build has the groups of its features, so their versions are counted apart.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Migration],
}

/// One step of the schema. Steps are never changed once published, and only add within a minor version.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) version: i32,
    /// The oldest schema version whose crate still works on the tables after this step.
    pub(super) oldest_reader: i32,
    pub(super) sql: &'static str,
}

impl Part {
    fn latest(&self) -> i32 {
        self.steps.last().map_or(0, |step| step.version)
    }

    /// Returns the state of the part's tables, from the result of [`READ`].
    pub(super) fn judge(&self, versions: &[Versions]) -> Schema {
        let (part, latest) = (self.name, self.latest());
        match versions.iter().find(|versions| versions.part == part) {
            None => Schema::Behind { part, version: 0, latest },
            // Newer tables are fine as long as all their steps let this version read.
            Some(&Versions { version, oldest_reader, .. }) if oldest_reader > latest => {
                Schema::TooNew { part, version, latest }
            }
            Some(&Versions { version, .. }) if version < latest => Schema::Behind { part, version, latest },
            Some(_) => Schema::Fits,
        }
    }
}

/// The version of a part, as the tables have it.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    part: String,
    version: i32,
    oldest_reader: i32,
}

/// The result of comparing the schema's version with this version of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// This version of the crate works with them, perhaps beside a newer one.
    Fits,
    /// They do not exist, or end with an older step.
    Behind { part: &'static str, version: i32, latest: i32 },
    /// A newer version of the crate has changed them so that this one cannot work with them.
    TooNew { part: &'static str, version: i32, latest: i32 },
}

impl Schema {
    pub(super) fn into_result(self) -> Result<(), StoreError> {
        let message = match self {
            Self::Fits => return Ok(()),
            Self::Behind { part, version: 0, .. } => format!(
                "there are no tables of the {part}; call `PostgresStore::migrate`, or connect with \
                 `PostgresStore::connect`"
            ),
            Self::Behind { part, version, latest } => format!(
                "the tables of the {part} are of version {version}, this crate needs {latest}; call \
                 `PostgresStore::migrate`, or connect with `PostgresStore::connect`"
            ),
            Self::TooNew { part, version, latest } => format!(
                "the tables of the {part} are of version {version} and cannot be shared with this crate, which knows \
                 {latest}; upgrade `tower-webhooks`"
            ),
        };
        Err(StoreError::new(StoreErrorKind::Schema, message))
    }
}

/// Reads the result of [`READ`].
pub(super) fn versions(rows: Result<Vec<PgRow>, sqlx::Error>) -> Result<Vec<Versions>, sqlx::Error> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) if has_code(&error, "42P01") || has_code(&error, "3F000") => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let read = |row: &PgRow| {
        Ok(Versions {
            part: row.try_get("part")?,
            version: row.try_get("version")?,
            oldest_reader: row.try_get("oldest_reader")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Applies the missing steps of all parts, unless one of them is too new. The caller's transaction is read committed, so that
/// each statement sees what another migration has committed while this one waited for the lock.
pub(super) async fn apply(
    connection: &mut PgConnection,
    tables: &Tables,
    parts: &[&Part],
) -> Result<Schema, sqlx::Error> {
    // The lock ends with the transaction, also behind a pooler. One for all prefixes: migrations are rare.
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    if let Some(schema) = &tables.schema {
        // `CREATE SCHEMA IF NOT EXISTS` asks for the right to create even if there is nothing to do.
        let exists = format!("SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'");
        if sqlx::raw_sql(AssertSqlSafe(exists)).fetch_optional(&mut *connection).await?.is_none() {
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).execute(&mut *connection).await?;
        }
    }
    sqlx::raw_sql(AssertSqlSafe(tables.fill(CREATE_MIGRATIONS))).execute(&mut *connection).await?;

    let found = versions(sqlx::raw_sql(AssertSqlSafe(tables.fill(READ))).fetch_all(&mut *connection).await)?;
    for part in parts {
        let version = match part.judge(&found) {
            Schema::Fits => continue,
            Schema::Behind { version, .. } => version,
            too_new @ Schema::TooNew { .. } => return Ok(too_new),
        };
        for step in part.steps.iter().filter(|step| step.version > version) {
            sqlx::raw_sql(AssertSqlSafe(tables.fill(step.sql))).execute(&mut *connection).await?;
            let record = tables.fill(&format!(
                "INSERT INTO {{migrations}} (part, version, oldest_reader) VALUES ('{}', {}, {})",
                part.name, step.version, step.oldest_reader
            ));
            sqlx::raw_sql(AssertSqlSafe(record)).execute(&mut *connection).await?;
        }
    }
    Ok(Schema::Fits)
}

pub(super) const READ: &str =
    "SELECT part, max(version) AS version, max(oldest_reader) AS oldest_reader FROM {migrations} GROUP BY part";

const CREATE_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS {migrations} (
    part          text        NOT NULL,
    version       integer     NOT NULL,
    -- the oldest schema version whose crate may still use the tables
    oldest_reader integer     NOT NULL,
    applied_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (part, version)
)";

/// The number is arbitrary, and must never change.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7953722451193047219)";

#[cfg(test)]
mod tests {
    use super::{Schema, Versions};
    use crate::{
        error::StoreErrorKind,
        store::postgres::{claims::CLAIMS, inbox, outbox},
    };

    fn found(version: i32, oldest_reader: i32) -> [Versions; 2] {
        let of = |part: &str, version, oldest_reader| Versions { part: part.to_owned(), version, oldest_reader };
        [of("another", 99, 99), of(CLAIMS.name, version, oldest_reader)]
    }

    #[test]
    fn steps_are_numbered_from_one_and_readable_by_somebody() {
        for part in [&CLAIMS].into_iter().chain(inbox::PARTS.iter().copied()).chain(outbox::PARTS.iter().copied()) {
            for (index, step) in part.steps.iter().enumerate() {
                assert_eq!(step.version as usize, index + 1, "{}", part.name);
                assert!(step.oldest_reader <= step.version, "{}", part.name);
            }
        }
    }

    #[test]
    fn a_newer_schema_that_only_adds_is_shared() {
        assert_eq!(CLAIMS.judge(&found(CLAIMS.latest() + 1, CLAIMS.latest())), Schema::Fits);
    }

    #[test]
    fn a_part_is_judged_by_its_own_versions() {
        assert!(matches!(CLAIMS.judge(&found(1, 1)[..1]), Schema::Behind { version: 0, .. }));
    }

    #[test]
    fn a_newer_schema_that_breaks_is_refused_with_the_remedy() {
        let schema = CLAIMS.judge(&found(CLAIMS.latest() + 1, CLAIMS.latest() + 1));
        let error = schema.into_result().unwrap_err();

        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("upgrade"), "{error}");
    }
}
