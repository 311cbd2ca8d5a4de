use sqlx::{AssertSqlSafe, Sqlite, query::Query, sqlite::SqliteArguments};

use crate::store::sqlite::{connection::Lent, error::Patience, setup::Setup};

/// A connection and what its statements need to know.
pub(super) struct Session<'a> {
    pub(super) connection: Lent<'a>,
    pub(super) prefix: &'a str,
    pub(super) patience: Patience,
    pub(super) setup: &'a Setup,
}

impl Session<'_> {
    pub(super) fn now(&self) -> i64 {
        self.setup.clock.now()
    }
}

/// Begins a transaction on a session's connection.
macro_rules! begin {
    ($session:expr, $context:expr) => {{
        let failed = |error| store_error($context, error);
        $crate::store::sqlite::connection::begin_immediate!($session.connection, $session.patience, failed)
    }};
}
pub(super) use begin;

/// A statement with the names of its tables put in.
pub(super) fn query<'q>(prefix: &str, text: &str) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(text.replace("{}", prefix)))
}
