use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection,
    sqlite::SqliteConnectOptions,
};

use super::{
    error::{Patience, store_error},
    migration::{self, Part},
    setup::{Place, Setup},
};
use crate::{
    error::{StoreError, StoreErrorKind},
    observe,
    store::name::Prefix,
};

/// The source of a task's connection.
///
/// For a file it opens one of its own, with the options of the pool: handlers that hold every connection of the
/// application's pool then cannot keep the store from completing their claims. A database in memory cannot be opened a
/// second time, so there it borrows from the pool each time.
pub(super) struct Connections {
    pool: SqlitePool,
    prefix: Prefix,
    patience: Duration,
    place: Arc<OnceLock<Place>>,
    warned: Arc<AtomicBool>,
    home: Home,
    part: &'static Part,
    durability: Durability,
}

/// The failures that a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Also a power cut.
    // Claims that go with one are made again.
    #[cfg_attr(not(any(feature = "inbox", feature = "send")), allow(dead_code))]
    PowerCut,
    /// The end of the process. A power cut may lose the last commits.
    Process,
}

enum Home {
    File(Box<SqliteConnectOptions>, Option<Kept>),
    Memory { checked: bool },
    Unknown,
}

/// A connection of the store's own.
pub(super) struct Kept {
    connection: SqliteConnection,
    /// Whether it is known not to use write-ahead logging.
    commits_wait: bool,
}

/// A connection, for one use.
pub(super) enum Lent<'a> {
    Own(&'a mut Kept),
    Pooled(PoolConnection<Sqlite>),
}

impl Lent<'_> {
    /// Whether a commit has to wait for the readers that are open.
    pub(super) fn commits_wait(&self) -> bool {
        matches!(self, Self::Own(kept) if kept.commits_wait)
    }

    /// Lets SQLite itself wait for every lock that this connection meets, as long as `patience` lasts. The
    /// application's connections are not changed.
    pub(super) async fn wait_for_locks(&mut self, patience: &Patience) -> Result<(), StoreError> {
        let Self::Own(kept) = self else { return Ok(()) };
        let set = set_busy_timeout(&mut kept.connection, patience.left()).await;
        set.map_err(|error| store_error("set the busy timeout", error))
    }
}

/// Begins a transaction that holds the write lock, so that what it reads stays so until it is committed. Outside of write-ahead
/// logging its commit waits for open readers for as long as the patience lasts.
// This is not a function, since the loop returns the connection after each try and borrows it again.
macro_rules! begin_immediate {
    ($connection:expr, $patience:expr, $failed:expr) => {{
        let commits_wait = $connection.commits_wait();
        if commits_wait {
            $crate::store::sqlite::connection::set_busy_timeout(
                &mut $connection,
                $crate::store::sqlite::connection::ONE_LOOK,
            )
            .await
            .map_err($failed)?;
        }
        let mut transaction = loop {
            match $connection.begin_with("BEGIN IMMEDIATE").await {
                Ok(transaction) => break transaction,
                Err(error) if $patience.allows(&error).await => {}
                Err(error) => return Err($failed(error)),
            }
        };
        if commits_wait {
            // Open readers block the commit and what is written before it, but did not block the lock. The lock is held
            // and lets no new reader in, so there is no race to lose, and SQLite itself may wait.
            $crate::store::sqlite::connection::set_busy_timeout(&mut transaction, $patience.left())
                .await
                .map_err($failed)?;
        }
        transaction
    }};
}
pub(super) use begin_immediate;

/// Sets how long SQLite itself waits where it meets a lock.
pub(super) async fn set_busy_timeout(connection: &mut SqliteConnection, timeout: Duration) -> Result<(), sqlx::Error> {
    let millis = timeout.as_millis().min(i32::MAX as u128);
    let pragma = AssertSqlSafe(format!("PRAGMA busy_timeout = {millis}"));
    sqlx::raw_sql(pragma).execute(connection).await.map(drop)
}

impl Connections {
    /// Creates the connections of one part of the crate, whose commits survive as much as it needs.
    pub(super) fn new(setup: &Setup, part: &'static Part, durability: Durability) -> Self {
        Self {
            pool: setup.pool.clone(),
            prefix: setup.prefix.clone(),
            patience: setup.patience,
            place: setup.place.clone(),
            warned: setup.warned.clone(),
            home: Home::Unknown,
            part,
            durability,
        }
    }

    /// Lends a connection to a database whose schema fits.
    pub(super) async fn lend(&mut self) -> Result<Lent<'_>, StoreError> {
        let patience = Patience::new(self.patience);
        self.find_home(&patience).await?;
        match &mut self.home {
            Home::File(options, kept) => {
                let connection = match kept.take() {
                    Some(kept) => kept,
                    None => {
                        let mut kept = open(options, self.durability, &self.warned, &patience).await?;
                        migration::check(&mut kept.connection, self.prefix.as_str(), self.part, &patience).await?;
                        kept
                    }
                };
                Ok(Lent::Own(kept.insert(connection)))
            }
            Home::Memory { checked } => {
                let mut connection = acquire(&self.pool, &patience).await?;
                if !*checked {
                    migration::check(&mut connection, self.prefix.as_str(), self.part, &patience).await?;
                    *checked = true;
                }
                Ok(Lent::Pooled(connection))
            }
            Home::Unknown => unreachable!("`find_home` has just found it"),
        }
    }

    /// Lends a connection to a database whose schema may be anything.
    pub(super) async fn lend_unchecked(&mut self) -> Result<Lent<'_>, StoreError> {
        let patience = Patience::new(self.patience);
        self.find_home(&patience).await?;
        match &mut self.home {
            Home::File(options, kept) => {
                Ok(Lent::Own(kept.insert(open(options, self.durability, &self.warned, &patience).await?)))
            }
            _ => Ok(Lent::Pooled(acquire(&self.pool, &patience).await?)),
        }
    }

    /// Drops the connection after `error`, unless the error only means that another one held a lock. The state of the
    /// connection is unknown, so the next use opens another one and checks the schema again.
    pub(super) fn renew_after(&mut self, error: &StoreError) {
        if error.kind() != StoreErrorKind::Busy {
            match &mut self.home {
                Home::File(_, kept) => *kept = None,
                Home::Memory { checked } => *checked = false,
                Home::Unknown => {}
            }
        }
    }

    pub(super) async fn close(self) {
        if let Home::File(_, Some(kept)) = self.home {
            // No caller is left to report an error to. Nothing is lost, since every answered call was committed.
            let _ = kept.connection.close().await;
        }
    }

    async fn find_home(&mut self, patience: &Patience) -> Result<(), StoreError> {
        if matches!(self.home, Home::Unknown) {
            let place = match self.place.get() {
                Some(place) => *place,
                None => {
                    let place = place_of(&self.pool, patience).await?;
                    *self.place.get_or_init(|| place)
                }
            };
            self.home = match place {
                Place::Memory => Home::Memory { checked: false },
                Place::File => {
                    let options = SqliteConnectOptions::clone(&self.pool.connect_options());
                    // `Patience` waits instead.
                    Home::File(Box::new(options.busy_timeout(ONE_LOOK).disable_statement_logging()), None)
                }
            };
        }
        Ok(())
    }
}

/// Asks the database, since its options do not always show it.
async fn place_of(pool: &SqlitePool, patience: &Patience) -> Result<Place, StoreError> {
    let mut connection = acquire(pool, patience).await?;
    loop {
        let file = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(&mut *connection)
            .await;
        match file {
            Ok(file) => return Ok(if String::is_empty(&file) { Place::Memory } else { Place::File }),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => return Err(store_error("ask the database for its file", error)),
        }
    }
}

/// Opens a connection. Another process may be about to create the same file, so every step of it may find a lock.
async fn open(
    options: &SqliteConnectOptions,
    durability: Durability,
    warned: &AtomicBool,
    patience: &Patience,
) -> Result<Kept, StoreError> {
    loop {
        match try_open(options, durability, warned).await {
            Ok(connection) => return Ok(connection),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => {
                let context = format!("open the database `{}`", options.get_filename().display());
                return Err(store_error(context, error));
            }
        }
    }
}

async fn try_open(
    options: &SqliteConnectOptions,
    durability: Durability,
    warned: &AtomicBool,
) -> Result<Kept, sqlx::Error> {
    let mut connection = options.connect().await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    let commits_wait = mode != "wal";
    if commits_wait && !warned.swap(true, Ordering::Relaxed) {
        observe::journal_mode(&mode);
    }
    if durability == Durability::PowerCut {
        // In WAL mode this is `FULL`. Outside of it, it also syncs the folder when the journal is removed, which is what commits there.
        sqlx::query("PRAGMA synchronous = EXTRA").execute(&mut connection).await?;
    } else if !commits_wait {
        // Without the write-ahead log, `NORMAL` would risk the whole file on a power cut, not only the last commits.
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut connection).await?;
    }
    Ok(Kept { connection, commits_wait })
}

async fn acquire(pool: &SqlitePool, patience: &Patience) -> Result<PoolConnection<Sqlite>, StoreError> {
    loop {
        match pool.acquire().await {
            Ok(connection) => return Ok(connection),
            Err(error) if patience.allows(&error).await => {}
            Err(error) => {
                let options = pool.connect_options();
                let context = format!("borrow a connection of the pool to `{}`", options.get_filename().display());
                return Err(store_error(context, error));
            }
        }
    }
}

impl Deref for Lent<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Own(kept) => &kept.connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Own(kept) => &mut kept.connection,
            Self::Pooled(connection) => connection,
        }
    }
}

/// How long SQLite itself waits, which is about three tries.
pub(super) const ONE_LOOK: Duration = Duration::from_millis(10);
