use std::{
    any::Any,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use super::{
    claims::{
        reader::{self, Lookup},
        rows,
        writer::{self, Act, Change, Command},
    },
    connection::{Connections, Place},
    error::{Patience, in_transaction},
    mailbox::Mailbox,
    migration::{self, Sql},
    options::SqliteStoreOptions,
    outbox::{self, Outbox},
};
use crate::{
    boxed::BoxFuture,
    clock::{self, Clock, ClockOffset, Millis, SystemClock, after},
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore, record::Record,
    },
    store::introduction::introduce,
};

/// Keeps claims in an SQLite database, shared by the processes of one machine. Clones share the connections.
///
/// It opens two connections of its own, one that reads and one that writes, at its first use; they end with the last
/// clone. See the [module](super) for what waits for what.
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
    application: Option<Arc<str>>,
    pub(super) setup: Setup,
    reader: Mailbox<Lookup>,
    writer: Mailbox<Command>,
    pub(super) outbox: Outbox,
}

/// What the store and its tasks work with.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) pool: SqlitePool,
    pub(super) sql: Arc<Sql>,
    pub(super) patience: Duration,
    pub(super) clock: StoreClock,
    /// Asked once, over the application's pool; from then on the store can do without that.
    pub(super) place: Arc<OnceLock<Place>>,
    /// Whether the journal mode has been told.
    pub(super) warned: Arc<AtomicBool>,
}

/// The machine's wall clock, which every process that opened the file sees.
#[derive(Clone)]
pub(super) struct StoreClock(ClockOffset);

impl StoreClock {
    pub(super) fn now(&self) -> Millis {
        let since = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        clock::millis(since).saturating_add(self.0.as_millis())
    }
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
    /// [`Schema`](StoreErrorKind::Schema) if [`migrate`](Self::migrate) was never called. The store takes the pool's
    /// options and opens connections of its own with them, so that handlers which hold every connection of the pool cannot
    /// keep it from completing their claims. Only for a database in memory, which has no second door, it borrows the
    /// pool's, which should then hold a single connection, so that a call waits for the application's transaction where it
    /// would in a file meet a lock.
    ///
    /// Write-ahead logging is the application's choice; choose it. In any other mode, which is what sqlx leaves a file in by
    /// itself, each open reader holds up every claim: it waits for up to [`busy_timeout`](SqliteStoreOptions::busy_timeout), and a
    /// warning names the mode when the store opens its first connection.
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

    /// Starts from the options, to change some.
    #[must_use]
    pub fn options() -> SqliteStoreOptions {
        SqliteStoreOptions::new()
    }

    pub(super) fn new(options: SqliteStoreOptions, pool: SqlitePool) -> Self {
        let SqliteStoreOptions { application, prefix, busy_timeout, offset } = options;
        // Long enough for one group before ours and our own, both waiting for the lock to the last. More is a hang.
        let limit = busy_timeout.saturating_mul(2).saturating_add(Duration::from_secs(10));
        let setup = Setup {
            pool,
            sql: Arc::new(Sql::new(prefix)),
            patience: busy_timeout,
            clock: StoreClock(offset),
            place: Arc::default(),
            warned: Arc::default(),
        };
        Self {
            shared: Arc::new(Shared {
                application,
                outbox: Outbox::new(&setup, limit),
                setup,
                reader: Mailbox::new("reader", limit),
                writer: Mailbox::new("writer", limit),
            }),
        }
    }

    /// Creates the tables or brings them up to date. Safe to call again, and in several processes at once.
    ///
    /// # Errors
    /// When the tables are of a newer version that this one does not know, or the database cannot be written.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let setup = &self.shared.setup;
        let mut connections = Connections::new(setup);
        let patience = Patience::new(setup.patience);
        let mut connection = connections.lend_unchecked().await?;
        connection.wait_for_locks(&patience).await?;
        for part in [&migration::CLAIMS].into_iter().chain(outbox::PARTS.iter().copied()) {
            migration::migrate(&mut connection, &setup.sql, part, &patience, setup.clock.now()).await?;
        }
        drop(connection);
        connections.close().await;
        Ok(())
    }

    /// Returns the pool that the store was given, or that [`connect`](Self::connect) made: for the transactions in which
    /// handlers commit their effects with their claims. The store itself needs none of its connections, but for a database in
    /// memory.
    pub fn pool(&self) -> SqlitePool {
        self.shared.setup.pool.clone()
    }

    /// Finishes what was asked, closes the connections of all clones, and refuses every later call as
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    ///
    /// Without it they are closed soon after the last clone is dropped. A pool that the application passed stays open.
    pub async fn close(&self) {
        self.shared.reader.close().await;
        self.shared.writer.close().await;
        self.shared.outbox.close().await;
    }

    pub(super) async fn check_schema(&self) -> Result<(), StoreError> {
        let mut connections = Connections::new(&self.shared.setup);
        drop(connections.lend(&self.shared.setup.sql).await?);
        connections.close().await;
        Ok(())
    }

    pub(super) async fn use_wal(&self) -> Result<(), StoreError> {
        let setup = &self.shared.setup;
        let mut connections = Connections::new(setup);
        // Whether the database could be switched shows when the next connection is opened.
        setup.warned.store(true, Ordering::Relaxed);
        let mut connection = connections.lend_unchecked().await?;
        migration::use_wal(&mut connection, setup.patience).await?;
        setup.warned.store(false, Ordering::Relaxed);
        drop(connection);
        connections.close().await;
        Ok(())
    }

    async fn look_up(&self, key: ClaimKey) -> Result<Option<Record>, StoreError> {
        let start = |lookups| reader::run(self.shared.setup.clone(), lookups);
        self.shared.reader.ask(|reply| Lookup { key, reply }, start).await
    }

    async fn act(&self, key: ClaimKey, token: ClaimToken, act: Act) -> Result<Fenced, StoreError> {
        let start = |commands| writer::run(self.shared.setup.clone(), commands);
        let change = |reply| Command::Change(Change::OfOwner(key, token, act, reply));
        self.shared.writer.ask(change, start).await
    }

    fn now(&self) -> Millis {
        self.shared.setup.clock.now()
    }
}

impl IdempotencyStore for SqliteStore {
    fn application(&self) -> Option<&str> {
        self.shared.application.as_deref()
    }

    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(introduce(self, key, program))
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            if let Some(mut record) = self.look_up(claim.key).await? {
                // On a copy: what it would be, had it stayed as it was read. Only a win has to be decided under the lock.
                match record.claim(&claim, self.now()) {
                    ClaimOutcome::Acquired { .. } => {}
                    known => return Ok(known),
                }
            }
            let start = |commands| writer::run(self.shared.setup.clone(), commands);
            self.shared.writer.ask(|reply| Command::Change(Change::Claim(claim, reply)), start).await
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.act(key, token, Act::Complete(completion)))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.act(key, token, Act::Release))
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.act(key, token, Act::Renew(lease)))
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let record = self.look_up(key).await?;
            Ok(record.map_or(Fenced::Stale, |record| record.is_done(token, self.now())))
        })
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let Some(connection) = connection.downcast_mut::<SqliteConnection>() else {
                return Err(StoreError::new(
                    StoreErrorKind::WrongTransaction,
                    "complete a claim: the store is SQLite, and the connection is no `sqlx::SqliteConnection`",
                ));
            };
            complete_in(connection, &self.shared.setup.sql, key, token, &completion, self.now()).await
        })
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut removed = 0;
            let mut left = limit;
            while left > 0 {
                let step = left.min(PURGE_STEP);
                let start = |commands| writer::run(self.shared.setup.clone(), commands);
                let of_step = self.shared.writer.ask(|reply| Command::Purge(step, reply), start).await?;
                removed += of_step;
                left -= step;
                if of_step < u64::from(step) {
                    break;
                }
            }
            Ok(removed)
        })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("pool", &self.shared.setup.pool).finish_non_exhaustive()
    }
}

/// One statement where the claim is still held; a second look only where it is not, for the one that completed it before.
async fn complete_in(
    connection: &mut SqliteConnection,
    sql: &Sql,
    key: ClaimKey,
    token: ClaimToken,
    completion: &Completion,
    now: Millis,
) -> Result<Fenced, StoreError> {
    let failed = |error| in_transaction("complete a claim in the application's transaction", error);
    let (key, token) = (key.to_bytes().to_vec(), token.to_bytes().to_vec());

    let complete = sqlx::query(AssertSqlSafe(sql.complete.clone())).bind(after(now, completion.retention));
    let completed = rows::bind_response(complete, completion.response.as_deref())
        .bind(key.clone())
        .bind(token.clone())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if completed.rows_affected() == 1 {
        return Ok(Fenced::Applied);
    }

    let done: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql.is_done.clone()))
        .bind(key)
        .bind(token)
        .bind(now)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    Ok(if done.is_some() { Fenced::Applied } else { Fenced::Stale })
}

/// How many records are removed under one hold of the write lock.
const PURGE_STEP: u32 = 500;
