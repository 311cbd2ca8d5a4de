use std::{sync::Arc, time::Duration};

use crate::{
    clock,
    error::{StoreError, StoreErrorKind},
};

/// Converts an error of the driver to an error with a kind for the caller.
pub(super) fn store_error(context: impl Into<Arc<str>>, error: sqlx::Error) -> StoreError {
    StoreError::new(kind(&error), context).with_source(error)
}

/// Converts an error inside the application's transaction, which may belong to another database.
pub(super) fn in_transaction(context: &'static str, error: sqlx::Error) -> StoreError {
    match kind(&error) {
        StoreErrorKind::Schema => StoreError::new(
            StoreErrorKind::WrongTransaction,
            format!("{context}: the transaction's database has no such table; begin it on the database of the store"),
        )
        .with_source(error),
        _ => store_error(context, error),
    }
}

/// Returns `true` if every other call would meet the same error.
pub(super) fn concerns_all(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Busy | StoreErrorKind::Schema | StoreErrorKind::Unavailable)
}

/// How long to retry while another connection holds the lock.
///
/// SQLite's own handler waits longer and longer between two tries, up to a tenth of a second, and loses the race
/// against busy writers in other processes. This one tries every few milliseconds, and has one deadline for all tries.
pub(super) struct Patience {
    deadline: Duration,
}

impl Patience {
    pub(super) fn new(patience: Duration) -> Self {
        Self { deadline: clock::monotonic().saturating_add(patience) }
    }

    /// Returns the time that is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_sub(clock::monotonic())
    }

    /// Returns `true` if the call is to be tried again after `error`, and waits a little before that.
    pub(super) async fn allows(&self, error: &sqlx::Error) -> bool {
        if kind(error) != StoreErrorKind::Busy || clock::monotonic() >= self.deadline {
            return false;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        true
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

fn kind(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
            // The low byte is the code, the rest says more about it.
            match code & 0xff {
                SQLITE_BUSY | SQLITE_LOCKED => StoreErrorKind::Busy,
                SQLITE_FULL => StoreErrorKind::Full,
                SQLITE_CORRUPT | SQLITE_NOTADB => StoreErrorKind::Corrupt,
                SQLITE_NOMEM | SQLITE_IOERR | SQLITE_CANTOPEN => StoreErrorKind::Unavailable,
                // This code is ambiguous: it means a missing table or invalid SQL.
                SQLITE_ERROR if error.message().starts_with("no such ") => StoreErrorKind::Schema,
                SQLITE_ERROR if error.message().contains(" has no column named ") => StoreErrorKind::Schema,
                _ => StoreErrorKind::Rejected,
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreErrorKind::Corrupt,
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
            StoreErrorKind::Unavailable
        }
        _ => StoreErrorKind::Rejected,
    }
}

// <https://www.sqlite.org/rescode.html>
const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_NOMEM: i32 = 7;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
