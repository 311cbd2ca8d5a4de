use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow};
use tokio::time::Instant;

use super::{
    error::{SERIALIZATION_FAILURE, has_code, is_lost},
    server::acquire_live,
    statement::{Mode, Statement, Value},
};

/// A transaction of the store's own. Dropped before its end, it closes the connection: the server then rolls back and lets go of
/// what is locked, and nobody is lent a connection in the middle of something.
pub(super) struct Tx {
    connection: PoolConnection<Postgres>,
    mode: Mode,
    is_open: bool,
}

impl Tx {
    /// A connection may have broken while it was idle. Nothing is done yet, so another one is as good.
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

/// How every transaction begins. Read committed, whatever the role's default: what is decided after a lock is read after it. A
/// wait for a row ends before the call's own time does. Should the process vanish, the server waits no longer than that for it
/// to go on, or its locks would stand until TCP gives up.
pub(super) fn begin_text(lock_timeout: &str, timeout: std::time::Duration) -> String {
    let idle = (timeout.as_millis() * 2).clamp(1000, 600_000);
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{lock_timeout}'; \
         SET LOCAL idle_in_transaction_session_timeout = '{idle}ms'"
    )
}

/// Whether the same transaction may succeed at once: another one was in the way, and is done.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    has_code(error, SERIALIZATION_FAILURE) || has_code(error, DEADLOCK_DETECTED)
}

const DEADLOCK_DETECTED: &str = "40P01";

/// Runs `$work` in a transaction and commits it; once more if another one was in the way. All of it ends by the deadline.
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
