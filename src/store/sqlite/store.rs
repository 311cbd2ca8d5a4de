use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::SqlitePool;

use super::{
    claims::{CLAIMS, Claims},
    connection::{Connections, Durability},
    error::Patience,
    inbox::{self, Inbox},
    migration,
    options::SqliteStoreOptions,
    outbox::{self, Outbox},
    setup::{Setup, StoreClock},
};
use crate::error::StoreError;

/// Keeps claims in an SQLite database, shared by the processes of one machine. Clones share the connections.
///
/// It opens two connections of its own, one that reads and one that writes, at its first use; they end with the last
/// clone. The [module](super) documentation explains its locks.
///
/// ```
/// use tower_webhooks::store::SqliteStore;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}/webhooks.db", folder.path().display());
/// // The file is not there yet.
/// assert!(SqliteStore::connect_without_migrating(&url).await.is_err());
///
/// let store = SqliteStore::connect(&url).await?;
/// assert!(SqliteStore::connect_without_migrating(&url).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) application: Option<Arc<str>>,
    pub(super) setup: Setup,
    pub(super) claims: Claims,
    #[cfg_attr(not(feature = "inbox"), allow(dead_code))] // There is nothing in it.
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
}

impl SqliteStore {
    /// Opens `url`, creates the file if it is missing, switches it to write-ahead logging and brings the tables up to date.
    ///
    /// `sqlite::memory:` opens a database that ends with the store.
    ///
    /// # Errors
    /// When the URL is not one of SQLite's, the file cannot be opened or created, or its tables are of a newer version.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        SqliteStoreOptions::new().connect(url).await
    }

    /// Opens `url` and changes nothing: neither the file's mode nor its tables.
    ///
    /// # Errors
    /// When the URL is not one of SQLite's, the file does not exist or cannot be opened, or its tables are missing, older or
    /// newer.
    pub async fn connect_without_migrating(url: &str) -> Result<Self, StoreError> {
        SqliteStoreOptions::new().connect_without_migrating(url).await
    }

    /// Keeps claims in the database of `pool`, where the application can complete them in its own transactions.
    ///
    /// Nothing is opened, read or changed until the first call, which fails as
    /// [`Schema`](crate::error::StoreErrorKind::Schema) if [`migrate`](Self::migrate) was never called. The store takes
    /// the pool's options and opens connections of its own with them, so that handlers which hold every connection of
    /// the pool cannot keep it from completing their claims. A database in memory cannot be opened a second time, so
    /// there the store borrows the pool's connections. The pool should then have a single connection, so that a call
    /// waits for the application's transaction, as it waits for the lock of a file.
    ///
    /// Whether the file uses write-ahead logging is the application's choice, and it should. In any other mode (sqlx
    /// does not change the mode by itself) each open reader delays every claim, which waits for up to
    /// [`busy_timeout`](SqliteStoreOptions::busy_timeout), and a warning names the mode when the store opens its first
    /// connection.
    ///
    /// ```
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};
    /// use tower_webhooks::store::SqliteStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let options = SqliteConnectOptions::new()
    ///     .filename(path)
    ///     .create_if_missing(true)
    ///     .journal_mode(SqliteJournalMode::Wal);
    /// let pool = SqlitePool::connect_with(options).await?;
    ///
    /// let store = SqliteStore::from_pool(pool);
    /// store.migrate().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_pool(pool: SqlitePool) -> Self {
        SqliteStoreOptions::new().from_pool(pool)
    }

    /// Returns the default options, to change some.
    #[must_use]
    pub fn options() -> SqliteStoreOptions {
        SqliteStoreOptions::new()
    }

    pub(super) fn new(options: SqliteStoreOptions, pool: SqlitePool) -> Self {
        let SqliteStoreOptions { application, prefix, busy_timeout, offset } = options;
        // Long enough for the group before ours and our own, each of which may wait for the lock until its timeout.
        // Anything longer is a hang.
        let limit = busy_timeout.saturating_mul(2).saturating_add(Duration::from_secs(10));
        let setup = Setup {
            pool,
            prefix,
            patience: busy_timeout,
            clock: StoreClock(offset),
            place: Arc::default(),
            warned: Arc::default(),
        };
        Self {
            shared: Arc::new(Shared {
                application,
                claims: Claims::new(&setup, limit),
                inbox: Inbox::new(&setup, limit),
                outbox: Outbox::new(&setup, limit),
                setup,
            }),
        }
    }

    /// Creates the tables or brings them up to date. Safe to call again, and in several processes at once.
    ///
    /// # Errors
    /// When the tables are of a newer version that this one does not know, or the database cannot be written.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let setup = &self.shared.setup;
        let mut connections = Connections::new(setup, &CLAIMS, Durability::Process);
        let patience = Patience::new(setup.patience);
        let mut connection = connections.lend_unchecked().await?;
        connection.wait_for_locks(&patience).await?;
        for part in [&CLAIMS].into_iter().chain(inbox::PARTS.iter().copied()).chain(outbox::PARTS.iter().copied()) {
            migration::migrate(&mut connection, setup.prefix.as_str(), part, &patience, setup.clock.now()).await?;
        }
        drop(connection);
        connections.close().await;
        Ok(())
    }

    /// Returns the pool that the store was given, or that [`connect`](Self::connect) made: for the transactions in
    /// which handlers commit their effects with their claims. The store itself uses its connections only for a database
    /// in memory.
    pub fn pool(&self) -> SqlitePool {
        self.shared.setup.pool.clone()
    }

    /// Finishes running calls, closes the connections of all clones, and rejects every later call as
    /// [`Unavailable`](crate::error::StoreErrorKind::Unavailable).
    ///
    /// Without this call they are closed soon after the last clone is dropped. A pool that the application passed stays
    /// open.
    pub async fn close(&self) {
        self.shared.claims.close().await;
        self.shared.inbox.close().await;
        self.shared.outbox.close().await;
    }

    pub(super) async fn check_schema(&self) -> Result<(), StoreError> {
        let mut connections = Connections::new(&self.shared.setup, &CLAIMS, Durability::Process);
        drop(connections.lend().await?);
        connections.close().await;
        Ok(())
    }

    pub(super) async fn use_wal(&self) -> Result<(), StoreError> {
        let setup = &self.shared.setup;
        let mut connections = Connections::new(setup, &CLAIMS, Durability::Process);
        // Whether the database could be switched shows when the next connection is opened.
        setup.warned.store(true, Ordering::Relaxed);
        let mut connection = connections.lend_unchecked().await?;
        migration::use_wal(&mut connection, setup.patience).await?;
        setup.warned.store(false, Ordering::Relaxed);
        drop(connection);
        connections.close().await;
        Ok(())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("pool", &self.shared.setup.pool).finish_non_exhaustive()
    }
}
