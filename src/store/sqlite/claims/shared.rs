use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    reader::{self, Lookup},
    rows,
    sql::Sql,
    writer::{self, Act, Change, Command},
};
use crate::{
    clock::{Millis, after},
    error::StoreError,
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, record::Record},
    store::{
        mailbox::Mailbox,
        sqlite::{error::in_transaction, setup::Setup},
    },
};

/// The state that the clones of a store share for claims.
pub(in crate::store::sqlite) struct Claims {
    setup: Setup,
    sql: Arc<Sql>,
    reader: Mailbox<Lookup>,
    writer: Mailbox<Command>,
}

impl Claims {
    /// A call waits for its answer for at most `limit`.
    pub(in crate::store::sqlite) fn new(setup: &Setup, limit: Duration) -> Self {
        Self {
            sql: Arc::new(Sql::new(&setup.prefix)),
            setup: setup.clone(),
            reader: Mailbox::new("reader of the SQLite store", limit),
            writer: Mailbox::new("writer of the SQLite store", limit),
        }
    }

    pub(in crate::store::sqlite) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    pub(super) fn now(&self) -> Millis {
        self.setup.clock.now()
    }

    pub(super) async fn look_up(&self, key: ClaimKey) -> Result<Option<Record>, StoreError> {
        let start = |lookups| reader::run(self.setup.clone(), self.sql.clone(), lookups);
        self.reader.ask(|reply| Lookup { key, reply }, start).await
    }

    pub(super) async fn claim(&self, claim: ClaimRequest) -> Result<ClaimOutcome, StoreError> {
        let start = |commands| writer::run(self.setup.clone(), self.sql.clone(), commands);
        self.writer.ask(|reply| Command::Change(Change::Claim(claim, reply)), start).await
    }

    pub(super) async fn act(&self, key: ClaimKey, token: ClaimToken, act: Act) -> Result<Fenced, StoreError> {
        let start = |commands| writer::run(self.setup.clone(), self.sql.clone(), commands);
        self.writer.ask(|reply| Command::Change(Change::OfOwner(key, token, act, reply)), start).await
    }

    pub(super) async fn purge(&self, limit: u32) -> Result<u64, StoreError> {
        let start = |commands| writer::run(self.setup.clone(), self.sql.clone(), commands);
        self.writer.ask(|reply| Command::Purge(limit, reply), start).await
    }

    /// Completes a claim in the application's transaction: one statement if the claim is still held, otherwise a second
    /// one that checks whether the caller had completed it before.
    pub(super) async fn complete_in(
        &self,
        connection: &mut SqliteConnection,
        key: ClaimKey,
        token: ClaimToken,
        completion: &Completion,
    ) -> Result<Fenced, StoreError> {
        let failed = |error| in_transaction("complete a claim in the application's transaction", error);
        let (key, token) = (key.to_bytes().to_vec(), token.to_bytes().to_vec());
        let now = self.now();

        let complete = sqlx::query(AssertSqlSafe(self.sql.complete.clone())).bind(after(now, completion.retention));
        let completed = rows::bind_response(complete, completion.response.as_deref())
            .bind(key.clone())
            .bind(token.clone())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        if completed.rows_affected() == 1 {
            return Ok(Fenced::Applied);
        }

        let done: Option<i64> = sqlx::query_scalar(AssertSqlSafe(self.sql.is_done.clone()))
            .bind(key)
            .bind(token)
            .bind(now)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
        Ok(if done.is_some() { Fenced::Applied } else { Fenced::Stale })
    }
}
