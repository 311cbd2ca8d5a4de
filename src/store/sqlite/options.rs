use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{error::store_error, store::SqliteStore};
use crate::{
    clock::ClockOffset,
    error::{ConfigError, StoreError, StoreErrorKind},
    store::name::{Prefix, named_application},
};

/// How a [`SqliteStore`] is set up.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::store::sqlite::SqliteStoreOptions;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStoreOptions::new()
///     .table_prefix("acme_")?
///     .busy_timeout(Duration::from_secs(2))
///     .connect("sqlite::memory:")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteStoreOptions {
    pub(super) application: Option<Arc<str>>,
    pub(super) prefix: Prefix,
    pub(super) busy_timeout: Duration,
    pub(super) offset: ClockOffset,
}

impl SqliteStoreOptions {
    /// Creates options with the defaults: the prefix `webhook_`, a busy timeout of 5 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the prefix of the names of the tables.
    ///
    /// # Errors
    /// When `prefix` is not a [`Prefix`](crate::store::Prefix).
    pub fn table_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = prefix.parse()?;
        Ok(self)
    }

    named_application!("database and its tables");

    /// Sets how long a call waits for SQLite's write lock before it fails as
    /// [`Busy`](crate::error::StoreErrorKind::Busy).
    ///
    /// Keep it below what the senders wait for an answer (5 to 30 seconds). The application's own connections have a
    /// timeout of their own.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Moves the store's clock by `offset`, for tests in which records become older.
    #[must_use]
    pub fn clock_offset(mut self, offset: ClockOffset) -> Self {
        self.offset = offset;
        self
    }

    /// Opens `url`, as [`SqliteStore::connect`] does.
    ///
    /// # Errors
    /// When the URL is not one of SQLite's, the file cannot be opened or created, or its tables are of a newer version.
    pub async fn connect(self, url: &str) -> Result<SqliteStore, StoreError> {
        let store = self.open(parse(url)?.create_if_missing(true));
        store.use_wal().await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Opens `url`, as [`SqliteStore::connect_without_migrating`] does.
    ///
    /// # Errors
    /// When the URL is not one of SQLite's, the file does not exist or cannot be opened, or its tables are missing, older or
    /// newer.
    pub async fn connect_without_migrating(self, url: &str) -> Result<SqliteStore, StoreError> {
        let store = self.open(parse(url)?);
        store.check_schema().await?;
        Ok(store)
    }

    /// Keeps claims in the database of `pool`, as [`SqliteStore::from_pool`] does.
    #[must_use]
    pub fn from_pool(self, pool: SqlitePool) -> SqliteStore {
        SqliteStore::new(self, pool)
    }

    /// The pool is for the application. For a file the store opens connections of its own. A database in memory exists
    /// as long as its one connection.
    fn open(self, options: SqliteConnectOptions) -> SqliteStore {
        let connections = if is_in_memory(&options) { 1 } else { CONNECTIONS };
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.disable_statement_logging());
        SqliteStore::new(self, pool)
    }
}

impl Default for SqliteStoreOptions {
    fn default() -> Self {
        Self {
            application: None,
            prefix: Prefix::default(),
            busy_timeout: Duration::from_secs(5),
            offset: ClockOffset::default(),
        }
    }
}

fn is_in_memory(options: &SqliteConnectOptions) -> bool {
    let name = options.get_filename().to_string_lossy();
    name.is_empty() || name.contains(":memory:") || name.contains("in-memory") || name.contains("mode=memory")
}

/// As in PostgreSQL: handlers that read or wait at the same time.
const CONNECTIONS: u32 = 10;

fn parse(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    // The driver would take any other URL for the name of a file, and `connect` would create it.
    if !url.starts_with("sqlite:") {
        return Err(StoreError::new(
            StoreErrorKind::Rejected,
            "read the URL of the database: it does not begin with `sqlite:`",
        ));
    }
    SqliteConnectOptions::from_str(url).map_err(|error| store_error("read the URL of the database", error))
}
