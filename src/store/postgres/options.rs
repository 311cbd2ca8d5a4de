use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::time::timeout;

use super::{
    error::{no_answer, store_error},
    statement::{Mode, Tables},
    store::PostgresStore,
};
use crate::{
    clock::ClockOffset,
    error::{ConfigError, ConfigErrorKind, StoreError},
    store::{
        name::{Prefix, named_application},
        replaceable::Replaceable,
    },
};

/// How a [`PostgresStore`] connects, and the names of its tables.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::{BoxError, store::PostgresStore};
///
/// # async fn connect() -> Result<PostgresStore, BoxError> {
/// let store = PostgresStore::options()
///     .schema("webhooks")?
///     .timeout(Duration::from_secs(2))
///     .max_connections(20)
///     .connect("postgres://shop@db.internal.example/shop")
///     .await?;
/// # Ok(store)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PostgresStoreOptions {
    pub(super) application: Option<Arc<str>>,
    prefix: Prefix,
    schema: Option<Prefix>,
    pub(super) timeout: Duration,
    pub(super) mode: Mode,
    pub(super) clock_offset: ClockOffset,
    max_connections: u32,
    #[cfg_attr(not(any(feature = "inbox", feature = "send")), allow(dead_code))] // Claims notify nobody.
    notifies: bool,
}

impl PostgresStoreOptions {
    /// Creates options with the defaults: the prefix `webhook_`, a timeout of 5 seconds, 10 connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the prefix of the names of the tables.
    ///
    /// # Errors
    /// When `prefix` is not a [`Prefix`].
    pub fn table_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = prefix.parse()?;
        Ok(self)
    }

    named_application!("database and its tables");

    /// Keeps the tables in `schema`, which [`PostgresStore::migrate`] creates. By default they are where the connection's
    /// `search_path` puts them.
    ///
    /// # Errors
    /// When it is not of the form of a [`Prefix`].
    pub fn schema(mut self, schema: &str) -> Result<Self, ConfigError> {
        let schema = schema.parse().map_err(|error: ConfigError| {
            let message = format!("`{}` is not a valid name of a schema", schema.escape_debug());
            ConfigError::new(ConfigErrorKind::Name, message).with_source(error)
        })?;
        self.schema = Some(schema);
        Ok(self)
    }

    /// Sets the timeout of every call, which includes the wait for a connection; 5 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the size of the pool that [`connect`](Self::connect) creates; 10 connections by default.
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Prepares no statements: each call is one simple query with its values in the text (numbers and hexadecimal
    /// digits, so nothing has to be escaped). It is for poolers that lend a connection for one transaction, and is a
    /// little more work for the server.
    #[must_use]
    pub fn simple_queries(mut self) -> Self {
        self.mode = Mode::Simple;
        self
    }

    /// Sends no `NOTIFY` when something was dispatched: the workers of other processes find it when they next look,
    /// within a second by default. By default one `NOTIFY` is sent after the commit, on a connection of its own, for
    /// all that was dispatched within some milliseconds. With [`simple_queries`](Self::simple_queries) it is not sent
    /// either.
    #[must_use]
    pub fn without_notify(mut self) -> Self {
        self.notifies = false;
        self
    }

    /// Adds `offset` to the server's clock. For tests.
    #[must_use]
    pub fn clock_offset(mut self, offset: ClockOffset) -> Self {
        self.clock_offset = offset;
        self
    }

    /// Connects, and migrates.
    ///
    /// # Errors
    /// When the URL cannot be read, the server cannot be reached, or the migration fails. If the server refuses the
    /// connection, it fails at once; if the server does not answer, it fails within the timeout. The error names the
    /// address.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, StoreError> {
        let store = self.open(url).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Connects, and checks that the schema is there.
    ///
    /// # Errors
    /// When the URL cannot be read or the server cannot be reached;
    /// [`Schema`](crate::error::StoreErrorKind::Schema) when the schema is missing, older, or too new.
    pub async fn connect_without_migrating(self, url: &str) -> Result<PostgresStore, StoreError> {
        let store = self.open(url).await?;
        store.check_schema().await?;
        Ok(store)
    }

    /// Uses the application's own pool. It does not connect yet: the first call checks the schema.
    ///
    /// sqlx tests a connection before it lends it, which is one more round trip for each call;
    /// `PgPoolOptions::test_before_acquire(false)` saves it. The store does not need the test: it repeats a call whose
    /// connection turns out to be broken.
    ///
    /// If handlers use all connections of the pool, none is left for claims, which are then
    /// [`Unavailable`](crate::error::StoreErrorKind::Unavailable) within the timeout. Size the pool for both, or give
    /// the store connections of its own with [`connect`](Self::connect): [`complete_in`] needs the application's
    /// connection, not its pool.
    ///
    /// [`complete_in`]: crate::idempotency::IdempotencyStore::complete_in
    #[must_use]
    pub fn from_pool(self, pool: PgPool) -> PostgresStore {
        PostgresStore::new(self, Replaceable::of_application(pool))
    }

    async fn open(self, url: &str) -> Result<PostgresStore, StoreError> {
        let connect = PgConnectOptions::from_str(url).map_err(|error| store_error(error, "read the URL"))?;
        // The store reads no floats, and poolers refuse parameters that they do not know.
        let mut connect = connect.extra_float_digits(None);
        if self.mode == Mode::Simple {
            // The logged text would contain stored responses.
            connect = connect.disable_statement_logging();
        }
        self.look_for_server(&connect).await?;
        let pool = PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.timeout)
            // The test would be a round trip before every call. `PostgresStore::run` repeats a call on a broken
            // connection instead.
            .test_before_acquire(false)
            .connect_lazy_with(connect);
        let pool = Replaceable::ours(pool, |pool: &PgPool| {
            Some(pool.options().clone().connect_lazy_with(pool.connect_options().as_ref().clone()))
        });
        Ok(PostgresStore::new(self, pool))
    }

    /// Connects once, so that the error of a failure names the address. A pool retries until its timeout even if the
    /// server refuses connections, and its error has no address.
    async fn look_for_server(&self, connect: &PgConnectOptions) -> Result<(), StoreError> {
        let place = match connect.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        };
        let failed = |error| store_error(error, format!("connect to PostgreSQL at `{place}`"));
        let connection = match timeout(self.timeout, PgConnection::connect_with(connect)).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(failed(no_answer())),
        };
        // The result does not matter: the connection is no longer needed.
        let _ = timeout(self.timeout, connection.close()).await;
        Ok(())
    }

    /// Returns `true` if others are notified of what was dispatched. Behind a pooler nobody could listen.
    pub(super) fn notifies(&self) -> bool {
        self.notifies && self.mode == Mode::Prepared
    }

    pub(super) fn tables(&self) -> Tables {
        Tables::new(self.schema.as_ref(), &self.prefix)
    }
}

impl Default for PostgresStoreOptions {
    fn default() -> Self {
        Self {
            application: None,
            prefix: Prefix::default(),
            schema: None,
            timeout: DEFAULT_TIMEOUT,
            mode: Mode::Prepared,
            clock_offset: ClockOffset::default(),
            max_connections: 10,
            notifies: true,
        }
    }
}

/// Long enough for a failover that a pooler hides, short enough for the sender that waits.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
