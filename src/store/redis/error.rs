use std::{io, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::{StoreError, StoreErrorKind};

/// Converts an error of the driver or the server to an error with a kind for the caller.
pub(super) fn store_error(error: RedisError, context: impl Into<Arc<str>>) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => StoreErrorKind::Unavailable,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => StoreErrorKind::Corrupt,
        ErrorKind::Server(
            ServerErrorKind::Ask
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain,
        ) => StoreErrorKind::Unavailable,
        _ => kind_of(error.code().unwrap_or_default(), error.detail().unwrap_or_default()),
    };
    StoreError::new(kind, context).with_source(error)
}

pub(super) fn timed_out(context: impl Into<Arc<str>>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, context)
        .with_source(io::Error::new(io::ErrorKind::TimedOut, "no answer from Redis within the store's timeout"))
}

/// Returns `true` if the connection is lost, so that the call can be repeated on another one.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Io && !error.is_timeout()
}

/// Servers before Redis 7 report an error inside a script as `ERR` and name the code in the text.
fn kind_of(code: &str, detail: &str) -> StoreErrorKind {
    let says = |word: &str| code == word || (code == "ERR" && detail.contains(word));
    if says("OOM") || says("MISCONF") {
        // `MISCONF` means that a snapshot cannot be written, usually since the disk is full.
        StoreErrorKind::Full
    } else if says("READONLY") || says("NOREPLICAS") || says("LOADING") {
        StoreErrorKind::Unavailable
    } else if code == "ERR" && detail.contains("is not a record") {
        // The scripts of the inbox say so.
        StoreErrorKind::Corrupt
    } else if code == "BUSY" {
        // Another script runs for too long.
        StoreErrorKind::Busy
    } else {
        StoreErrorKind::Rejected
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;
    use crate::error::StoreErrorKind;

    #[test]
    fn codes_are_sorted_by_what_the_caller_can_do() {
        for (code, detail, kind) in [
            ("OOM", "command not allowed when used memory > 'maxmemory'", StoreErrorKind::Full),
            ("ERR", "Error running script: -OOM command not allowed", StoreErrorKind::Full),
            ("MISCONF", "Redis is configured to save RDB snapshots", StoreErrorKind::Full),
            ("ERR", "Error running script: -READONLY You can't write", StoreErrorKind::Unavailable),
            ("NOREPLICAS", "Not enough good replicas to write.", StoreErrorKind::Unavailable),
            ("BUSY", "Redis is busy running a script", StoreErrorKind::Busy),
            ("ERR", "user_script:1: an event of the inbox is not a record", StoreErrorKind::Corrupt),
            ("NOPERM", "this user has no permissions", StoreErrorKind::Rejected),
            ("NOAUTH", "Authentication required.", StoreErrorKind::Rejected),
        ] {
            assert_eq!(kind_of(code, detail), kind, "{code} {detail}");
        }
    }
}
