use std::{io, sync::Arc};

use sqlx::Error;

use crate::error::{StoreError, StoreErrorKind};

/// Converts an error of the driver or the server to an error with a kind for the caller.
pub(super) fn store_error(error: Error, context: impl Into<Arc<str>>) -> StoreError {
    let kind = match &error {
        Error::Database(database) => database.code().map_or(StoreErrorKind::Rejected, |code| kind_of(&code)),
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => StoreErrorKind::Unavailable,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) | Error::RowNotFound => {
            StoreErrorKind::Corrupt
        }
        _ => StoreErrorKind::Rejected,
    };
    StoreError::new(kind, context).with_source(error)
}

/// Converts an error inside the application's transaction, in which `what` was to be done. Missing tables mean that the
/// transaction is of another database, or finds other schemas.
pub(super) fn in_transaction(error: Error, what: &str) -> StoreError {
    let error = store_error(error, format!("{what} in the application's transaction"));
    match error.kind() {
        StoreErrorKind::Schema => StoreError::new(
            StoreErrorKind::WrongTransaction,
            format!("{what} in a transaction that does not find the store's tables"),
        )
        .with_source(error),
        _ => error,
    }
}

/// Returns the error of a call whose time has ended.
pub(super) fn no_answer() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer from PostgreSQL within the store's timeout"))
}

/// Returns `true` if the server did not answer in time.
pub(super) fn is_unanswered(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        Error::PoolTimedOut => true,
        _ => false,
    }
}

/// Returns `true` if the connection is lost, so that the call can be repeated on another one.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) => !is_unanswered(error),
        // admin_shutdown, crash_shutdown, idle_session_timeout, connection failures that a pooler reports
        Error::Database(database) => {
            database.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P05" | "08003" | "08006"))
        }
        _ => false,
    }
}

pub(super) fn has_code(error: &Error, code: &str) -> bool {
    error.as_database_error().and_then(|database| database.code()).is_some_and(|found| found == code)
}

/// A row is locked for longer than `lock_timeout`.
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// At this isolation level, the transaction does not see rows that have just been committed.
pub(super) const SERIALIZATION_FAILURE: &str = "40001";

/// "PostgreSQL Error Codes", appendix A of the manual.
fn kind_of(code: &str) -> StoreErrorKind {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        SERIALIZATION_FAILURE | "40P01" | LOCK_NOT_AVAILABLE => StoreErrorKind::Busy,
        // disk_full
        "53100" => StoreErrorKind::Full,
        // undefined_table, undefined_column, invalid_schema_name, datatype_mismatch
        "42P01" | "42703" | "3F000" | "42804" => StoreErrorKind::Schema,
        // query_canceled by statement_timeout; read_only_sql_transaction: the primary is elsewhere now;
        // idle_in_transaction_session_timeout: this process was too slow
        "57014" | "25006" | "25P03" => StoreErrorKind::Unavailable,
        // protocol_violation: a repeated call would fail in the same way
        "08P01" => StoreErrorKind::Rejected,
        // connection exceptions, out of connections or memory, shutdown, idle session timeout
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Error;

    use super::{kind_of, store_error};
    use crate::error::StoreErrorKind;

    #[test]
    fn codes_are_sorted_by_what_the_caller_can_do() {
        for (code, kind) in [
            ("40001", StoreErrorKind::Busy),
            ("40P01", StoreErrorKind::Busy),
            ("55P03", StoreErrorKind::Busy),
            ("53100", StoreErrorKind::Full),
            ("53300", StoreErrorKind::Unavailable),
            ("57P01", StoreErrorKind::Unavailable),
            ("57P03", StoreErrorKind::Unavailable),
            ("57014", StoreErrorKind::Unavailable),
            ("25006", StoreErrorKind::Unavailable),
            ("25P03", StoreErrorKind::Unavailable),
            ("08006", StoreErrorKind::Unavailable),
            ("42P01", StoreErrorKind::Schema),
            ("3F000", StoreErrorKind::Schema),
            ("28P01", StoreErrorKind::Rejected),
            ("42501", StoreErrorKind::Rejected),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn the_cause_is_kept() {
        let error = store_error(Error::PoolTimedOut, "claim a delivery");

        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(std::error::Error::source(&error).is_some());
    }
}
