use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use super::{
    error::{is_lost, is_unanswered, no_answer, store_error},
    migration::{self, Part, Schema, Versions},
    statement::{Mode, Statement, Tables, Value},
};
use crate::{
    clock::ClockOffset,
    error::StoreError,
    store::replaceable::{Current, Replaceable},
};

/// The pool of connections to the server, and the time that a call has.
pub(super) struct Server {
    pub(super) pool: Replaceable<PgPool>,
    pub(super) tables: Tables,
    pub(super) mode: Mode,
    pub(super) timeout: Duration,
    pub(super) clock_offset: ClockOffset,
    /// The longest wait of a statement for a row that an application's transaction holds. It ends before the call's own time
    /// does, so that the answer is "busy" and the connection stays usable.
    pub(super) lock_timeout: Box<str>,
    /// Keeps the advisory locks of two stores in one database apart.
    pub(super) lock_salt: u64,
    read_schema: Statement,
}

impl Server {
    pub(super) fn new(
        pool: Replaceable<PgPool>,
        tables: Tables,
        mode: Mode,
        timeout: Duration,
        clock_offset: ClockOffset,
    ) -> Self {
        let mut salt = [0; 8];
        salt.copy_from_slice(&Sha256::digest(&tables.claims)[..8]);
        Self {
            pool,
            mode,
            timeout,
            clock_offset,
            lock_timeout: format!("{}ms", (timeout.as_millis() / 2).clamp(1, 60_000)).into(),
            lock_salt: u64::from_be_bytes(salt),
            read_schema: Statement::new(&tables, migration::READ),
            tables,
        }
    }

    pub(super) fn offset(&self) -> Value<'static> {
        Value::from(self.clock_offset.as_millis())
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sets a call's deadline. The very first call on a part looks at its schema.
    pub(super) async fn begin_on(&self, part: &Part, checked: &AtomicBool) -> Result<Instant, StoreError> {
        let deadline = self.deadline();
        if !checked.load(Ordering::Acquire) {
            part.judge(&self.read_versions(deadline).await?).into_result()?;
            checked.store(true, Ordering::Release);
        }
        Ok(deadline)
    }

    pub(super) async fn read_versions(&self, deadline: Instant) -> Result<Vec<Versions>, StoreError> {
        let rows = self.run(deadline, &self.read_schema, &[]).await;
        migration::versions(rows).map_err(|error| store_error(error, READ_SCHEMA))
    }

    pub(super) async fn apply_migrations(&self, parts: &[&Part]) -> Result<Schema, sqlx::Error> {
        // Not the role's default: under a stricter level, the snapshot would be older than the lock.
        let mut transaction = self.pool.current().value.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let schema = migration::apply(&mut transaction, &self.tables, parts).await?;
        transaction.commit().await?;
        Ok(schema)
    }

    pub(super) async fn fetch(
        &self,
        deadline: Instant,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        Ok(self.run(deadline, statement, values).await?.into_iter().next())
    }

    /// Runs one statement, and repeats it once when its connection turns out to be lost: it may have broken while it was
    /// idle, and statements are idempotent per token. Nothing goes on past the deadline.
    pub(super) async fn run(
        &self,
        deadline: Instant,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let current = self.pool.current();
        let calls = async {
            let mut connection = current.value.acquire().await?;
            match self.call(deadline, &mut connection, statement, values).await {
                Err(error) if is_lost(&error) => drop(connection),
                done => return done,
            }
            let mut connection = acquire_live(&current.value, deadline).await?;
            self.call(deadline, &mut connection, statement, values).await
        };
        let done = timeout_at(deadline, calls).await.unwrap_or_else(|_| Err(no_answer()));
        self.note(&current, &done);
        done
    }

    /// Records whether the server has answered. If it has not, the next call uses another pool, unless the pool is the
    /// application's.
    pub(super) fn note<T>(&self, current: &Current<PgPool>, done: &Result<T, sqlx::Error>) {
        match done {
            Ok(_) | Err(sqlx::Error::Database(_)) => current.answered(),
            Err(error) if is_unanswered(error) => self.pool.replace(current),
            Err(_) => {}
        }
    }

    async fn call(
        &self,
        deadline: Instant,
        connection: &mut PoolConnection<Postgres>,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let done = timeout_at(deadline, statement.fetch_all(connection, self.mode, values)).await;
        settle(connection, done)
    }
}

/// Acquires a connection that has just answered. After a restart of the server all idle ones are broken.
pub(super) async fn acquire_live(pool: &PgPool, deadline: Instant) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    for _ in 0..pool.options().get_max_connections() {
        let mut connection = pool.acquire().await?;
        let ping = timeout_at(deadline, connection.ping()).await;
        if settle(&mut connection, ping).is_ok() {
            return Ok(connection);
        }
    }
    pool.acquire().await
}

/// Takes a connection out of the pool that is lost or did not answer in time.
///
/// In the pool, its test would hang as long as the server does, and the connection would keep its place.
fn settle<T>(
    connection: &mut PoolConnection<Postgres>,
    call: Result<Result<T, sqlx::Error>, Elapsed>,
) -> Result<T, sqlx::Error> {
    let done = call.unwrap_or_else(|_| Err(no_answer()));
    if done.as_ref().is_err_and(|error| is_lost(error) || is_unanswered(error)) {
        connection.close_on_drop();
    }
    done
}

const READ_SCHEMA: &str = "read the version of the schema";
