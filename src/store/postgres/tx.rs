use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow};
use tokio::time::Instant;

use super::{
    error::{SERIALIZATION_FAILURE, has_code, is_lost},
    server::acquire_live,
    statement::{Mode, Statement, Value},
};

/// A transaction of the store's own. If it is dropped before its end, it closes the connection: the server then rolls
/// back and releases the locks, and nobody gets a connection in the middle of a transaction.
pub(super) struct Tx {
    connection: PoolConnection<Postgres>,
    mode: Mode,
    is_open: bool,
}

impl Tx {
    /// A connection may have broken while it was idle. Nothing was done on it yet, so another one can take its place.
    pub(super) async fn begin(pool: &PgPool, mode: Mode, begin: &str, deadline: Instant) -> Result<Self, sqlx::Error> {
        match Self::open(pool.acquire().await?, mode, begin).await {
            Err(error) if is_lost(&error) => Self::open(acquire_live(pool, deadline).await?, mode, begin).await,
            done => done,
        }
    }

    async fn open(connection: PoolConnection<Postgres>, mode: Mode, begin: &str) -> Result<Self, sqlx::Error> {
        let mut tx = Self { connection, mode, is_open: true };
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *tx.connection).await?;
        Ok(tx)
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(super) async fn all(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<PgRow>, sqlx::Error> {
        statement.fetch_all(&mut self.connection, self.mode, values).await
    }

    pub(super) async fn first(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        Ok(self.all(statement, values).await?.into_iter().next())
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut *self.connection).await?;
        self.is_open = false;
        Ok(())
    }

    pub(super) async fn roll_back(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(&mut *self.connection).await?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.is_open {
            self.connection.close_on_drop();
        }
    }
}

/// How every transaction begins. Read committed, whatever the role's default: what is decided after a lock is read
/// after it. A wait for a row ends before the call's own time does. If the process disappears, the server waits no
/// longer than that for it to continue; otherwise its locks would remain until TCP gives up.
pub(super) fn begin_text(lock_timeout: &str, timeout: std::time::Duration) -> String {
    let idle = (timeout.as_millis() * 2).clamp(1000, 600_000);
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{lock_timeout}'; \
         SET LOCAL idle_in_transaction_session_timeout = '{idle}ms'"
    )
}

/// Returns `true` if the same transaction may succeed at once, since it was in conflict with another one that has
/// ended.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    has_code(error, SERIALIZATION_FAILURE) || has_code(error, DEADLOCK_DETECTED)
}

const DEADLOCK_DETECTED: &str = "40P01";

/// Runs `$work` in a transaction and commits it; repeats it once after a conflict. All of it ends by the deadline.
macro_rules! transaction {
    ($outbox:expr, $deadline:expr, $context:expr, $tx:ident => $work:expr) => {{
        let (deadline, server) = ($deadline, &$outbox.server);
        let current = server.pool.current();
        let calls = async {
            let mut is_again = false;
            loop {
                let mut $tx = Tx::begin(&current.value, server.mode, &$outbox.begin, deadline).await?;
                let done = $work.await;
                match done {
                    Ok(value) => {
                        $tx.commit().await?;
                        return Ok(value);
                    }
                    Err(error) => {
                        // If that fails too, the connection is closed, which does the same.
                        let _ = $tx.roll_back().await;
                        if is_again || !is_conflict(&error) {
                            return Err(error);
                        }
                        is_again = true;
                    }
                }
            }
        };
        let done = timeout_at(deadline, calls).await.unwrap_or_else(|_| Err(no_answer()));
        server.note(&current, &done);
        done.map_err(|error| store_error(error, $context))
    }};
}
pub(super) use transaction;
