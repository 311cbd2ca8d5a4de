use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::error::{Patience, store_error};
use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
};

/// A part of the crate, whose tables have versions of their own.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// The version of its tables that this version of the crate makes.
    pub(super) version: i64,
    /// What each version adds, with the prefix put in.
    pub(super) migrations: fn(&str) -> Vec<Migration>,
}

/// A step of the tables.
pub(super) struct Migration {
    /// The version that a program must know to work with what this step adds.
    pub(super) needs: i64,
    pub(super) statements: Vec<String>,
}

/// Brings the schema up to date. Others may do the same at the same time: the write lock lets one after the other do
/// it.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    prefix: &str,
    part: &Part,
    patience: &Patience,
    now: Millis,
) -> Result<(), StoreError> {
    let failed = |error| store_error("migrate the tables", error);
    let mut transaction = loop {
        match connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => break transaction,
            Err(error) if patience.allows(&error).await => {}
            Err(error) => return Err(failed(error)),
        }
    };

    let table = format!(
        "CREATE TABLE IF NOT EXISTS {prefix}migrations (\
         part TEXT NOT NULL, version INTEGER NOT NULL, needs INTEGER NOT NULL, applied_at INTEGER NOT NULL, \
         PRIMARY KEY (part, version)) STRICT, WITHOUT ROWID"
    );
    sqlx::query(AssertSqlSafe(table)).execute(&mut *transaction).await.map_err(failed)?;

    let (version, needs) = versions(&mut transaction, prefix, part).await.map_err(failed)?;
    if needs > part.version {
        return Err(newer(prefix, needs, part));
    }
    for (version, migration) in (1..).zip((part.migrations)(prefix)).skip_while(|(next, _)| *next <= version) {
        for statement in migration.statements {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await.map_err(failed)?;
        }
        let note = format!("INSERT INTO {prefix}migrations (part, version, needs, applied_at) VALUES (?, ?, ?, ?)");
        sqlx::query(AssertSqlSafe(note))
            .bind(part.name)
            .bind(version)
            .bind(migration.needs)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Rejects a schema that this version of the crate cannot work with.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    prefix: &str,
    part: &Part,
    patience: &Patience,
) -> Result<(), StoreError> {
    let (version, needs) = loop {
        match versions(connection, prefix, part).await {
            Ok(versions) => break versions,
            Err(error) if patience.allows(&error).await => {}
            Err(error) => {
                let error = store_error("read the version of the tables", error);
                // Only the table of versions is read here, so this is the one that is missing.
                return Err(if error.kind() == StoreErrorKind::Schema { missing(prefix) } else { error });
            }
        }
    };

    if needs > part.version {
        return Err(newer(prefix, needs, part));
    }
    if version == 0 {
        return Err(missing(prefix));
    }
    if version < part.version {
        let message = format!(
            "the tables with the prefix `{prefix}` are of version {version} and this version of the crate needs {}; call \
             `SqliteStore::migrate`",
            part.version
        );
        return Err(StoreError::new(StoreErrorKind::Schema, message));
    }
    Ok(())
}

/// Returns the newest version, and the version that must be known to work with it. Both are 0 if there are no tables.
async fn versions(connection: &mut SqliteConnection, prefix: &str, part: &Part) -> Result<(i64, i64), sqlx::Error> {
    let query =
        format!("SELECT coalesce(max(version), 0), coalesce(max(needs), 0) FROM {prefix}migrations WHERE part = ?");
    sqlx::query_as(AssertSqlSafe(query)).bind(part.name).fetch_one(connection).await
}

fn missing(prefix: &str) -> StoreError {
    let message = format!(
        "there are no tables with the prefix `{prefix}` in this database; call `SqliteStore::migrate`, or open it with \
         `SqliteStore::connect`"
    );
    StoreError::new(StoreErrorKind::Schema, message)
}

fn newer(prefix: &str, needs: i64, part: &Part) -> StoreError {
    let message = format!(
        "the tables with the prefix `{prefix}` need version {needs} of the schema to be known and this version of the crate \
         knows {}; upgrade `tower-webhooks`",
        part.version
    );
    StoreError::new(StoreErrorKind::Schema, message)
}

/// Switches the database to write-ahead logging, where readers and the writer do not block each other. The mode is kept
/// in the file. A database in memory cannot be switched and stays as it is.
pub(super) async fn use_wal(connection: &mut SqliteConnection, patience: Duration) -> Result<(), StoreError> {
    // The switch does not wait for a lock by itself, and two processes that create a file both try it.
    let patience = Patience::new(patience);
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
            Ok(_) => return Ok(()),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => return Err(store_error("switch the database to write-ahead logging", error)),
        }
    }
}
