use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::{Instant, timeout};

use super::schema::CLAIMS;
use crate::{
    error::StoreError,
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        StoredResponse,
    },
    store::postgres::{
        error::{LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, has_code, in_transaction, no_answer, store_error},
        server::Server,
        statement::{Statement, Value},
    },
};

/// The state that the clones of a store share for claims.
pub(in crate::store::postgres) struct Claims {
    server: Arc<Server>,
    /// Set once the tables were found to fit; until then each call looks.
    checked: AtomicBool,
    claim: Statement,
    complete: Statement,
    is_done: Statement,
    purge: Statement,
    release: Statement,
    renew: Statement,
}

impl Claims {
    pub(in crate::store::postgres) fn new(server: &Arc<Server>) -> Self {
        let statement = |template| Statement::new(&server.tables, template);
        Self {
            server: server.clone(),
            checked: AtomicBool::new(false),
            claim: statement(include_str!("sql/claim.sql")),
            complete: statement(include_str!("sql/complete.sql")),
            is_done: statement(include_str!("sql/is_done.sql")),
            purge: statement(include_str!("sql/purge.sql")),
            release: statement(include_str!("sql/release.sql")),
            renew: statement(include_str!("sql/renew.sql")),
        }
    }

    /// Notes that the tables fit.
    pub(in crate::store::postgres) fn fits(&self) {
        self.checked.store(true, Ordering::Release);
    }

    async fn begin(&self) -> Result<Instant, StoreError> {
        self.server.begin_on(&CLAIMS, &self.checked).await
    }

    /// Runs a fenced statement: one row if the record was the caller's.
    async fn fenced(
        &self,
        context: &'static str,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Fenced, StoreError> {
        let deadline = self.begin().await?;
        let row = self.server.fetch(deadline, statement, values).await.map_err(|error| store_error(error, context))?;
        Ok(applied(row.is_some()))
    }

    pub(super) async fn claim(&self, claim: ClaimRequest) -> Result<ClaimOutcome, StoreError> {
        const CONTEXT: &str = "claim a delivery";

        let (key, token) = (claim.key.to_bytes(), claim.token.to_bytes());
        let fingerprint = claim.fingerprint.to_bytes();
        let values = [
            Value::from(&key),
            Value::from(&token),
            Value::from(&fingerprint),
            Value::from(millis(claim.lease)),
            self.server.offset(),
            Value::from(advisory_lock(key, self.server.lock_salt)),
            Value::from(CLAIM_LOCK_TIMEOUT),
            Value::from(millis(ABANDONED_AFTER)),
        ];
        let deadline = self.begin().await?;
        let mut result = self.server.fetch(deadline, &self.claim, &values).await;
        if result.as_ref().is_err_and(|error| has_code(error, SERIALIZATION_FAILURE)) {
            // The role's default isolation level is stricter than read committed. The record has just changed, and a
            // new statement can read it.
            result = self.server.fetch(deadline, &self.claim, &values).await;
        }
        // Another process is claiming it at this moment, and its record cannot be read yet.
        let contended = ClaimOutcome::InFlight { retry_after: claim.lease, fingerprint: claim.fingerprint };
        match result {
            Ok(Some(row)) => outcome(&row, contended).map_err(|error| store_error(error, CONTEXT)),
            Ok(None) => Err(store_error(sqlx::Error::RowNotFound, CONTEXT)),
            Err(error) if has_code(&error, LOCK_NOT_AVAILABLE) => Ok(contended),
            Err(error) => Err(store_error(error, CONTEXT)),
        }
    }

    /// Completes inside the application's transaction, if there is one, otherwise on a connection of the store.
    pub(super) async fn completion(
        &self,
        transaction: Option<&mut PgConnection>,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> Result<Fenced, StoreError> {
        const CONTEXT: &str = "complete a delivery";

        let (key, token) = (key.to_bytes(), token.to_bytes());
        // The `lock_timeout` of the application's transaction is not ours to change.
        let lock_timeout = if transaction.is_some() { "" } else { &self.server.lock_timeout };
        let response = completion.response.as_deref();
        let values = [
            Value::from(&key),
            Value::from(&token),
            self.server.offset(),
            Value::from(lock_timeout),
            Value::from(millis(completion.retention)),
            Value::Int(response.map(|response| i64::from(response.status))),
            Value::Text(response.and_then(|response| response.content_type.as_deref())),
            Value::Bytes(response.map(|response| &response.body[..])),
        ];
        let Some(connection) = transaction else {
            return self.fenced(CONTEXT, &self.complete, &values).await;
        };
        match timeout(self.server.timeout, self.complete.fetch(connection, self.server.mode, &values)).await {
            Ok(Ok(row)) => Ok(applied(row.is_some())),
            Ok(Err(error)) => Err(in_transaction(error, CONTEXT)),
            Err(_) => Err(store_error(no_answer(), CONTEXT)),
        }
    }

    pub(super) async fn release(&self, key: ClaimKey, token: ClaimToken) -> Result<Fenced, StoreError> {
        let (key, token) = (key.to_bytes(), token.to_bytes());
        let values = [
            Value::from(&key),
            Value::from(&token),
            self.server.offset(),
            Value::from(&*self.server.lock_timeout),
            Value::from(millis(ABANDONED_AFTER)),
        ];
        self.fenced("release a delivery", &self.release, &values).await
    }

    pub(super) async fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> Result<Fenced, StoreError> {
        let (key, token) = (key.to_bytes(), token.to_bytes());
        let values = [
            Value::from(&key),
            Value::from(&token),
            self.server.offset(),
            Value::from(&*self.server.lock_timeout),
            Value::from(millis(lease)),
            Value::from(millis(ABANDONED_AFTER)),
        ];
        self.fenced("renew a claim", &self.renew, &values).await
    }

    pub(super) async fn is_done(&self, key: ClaimKey, token: ClaimToken) -> Result<Fenced, StoreError> {
        let (key, token) = (key.to_bytes(), token.to_bytes());
        let values = [Value::from(&key), Value::from(&token), self.server.offset()];
        self.fenced("read whether a delivery is done", &self.is_done, &values).await
    }

    pub(super) async fn purge(&self, limit: u32) -> Result<u64, StoreError> {
        const CONTEXT: &str = "purge records";

        let values = [Value::from(i64::from(limit)), self.server.offset()];
        let deadline = self.begin().await?;
        let gone = match self.server.fetch(deadline, &self.purge, &values).await {
            Ok(Some(row)) => row.try_get::<i64, _>("gone"),
            Ok(None) => Err(sqlx::Error::RowNotFound),
            Err(error) => Err(error),
        };
        gone.map(i64::unsigned_abs).map_err(|error| store_error(error, CONTEXT))
    }
}

/// Reads the outcome from the claim's one row.
fn outcome(row: &PgRow, contended: ClaimOutcome) -> Result<ClaimOutcome, sqlx::Error> {
    if let Some(attempt) = row.try_get::<Option<i32>, _>("attempt")? {
        return Ok(ClaimOutcome::Acquired { attempt: attempt.unsigned_abs() });
    }
    if !row.try_get::<bool, _>("live")? {
        return Ok(contended);
    }
    let bytes = row.try_get::<Vec<u8>, _>("fingerprint")?;
    let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| sqlx::Error::Decode("a fingerprint has 8 bytes".into()))?;
    let fingerprint = Fingerprint::from_bytes(bytes);
    if row.try_get::<i16, _>("state")? == DONE {
        return Ok(ClaimOutcome::Done { fingerprint, response: response(row)? });
    }
    let rest = u64::try_from(row.try_get::<i64, _>("rest")?).unwrap_or_default();
    Ok(ClaimOutcome::InFlight { retry_after: Duration::from_millis(rest), fingerprint })
}

fn response(row: &PgRow) -> Result<Option<Arc<StoredResponse>>, sqlx::Error> {
    let Some(status) = row.try_get::<Option<i32>, _>("response_status")? else { return Ok(None) };
    let status = u16::try_from(status).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let body = row.try_get::<Option<Vec<u8>>, _>("response_body")?.unwrap_or_default();
    Ok(Some(Arc::new(StoredResponse::new(status, row.try_get("response_content_type")?, Bytes::from(body)))))
}

fn applied(found: bool) -> Fenced {
    if found { Fenced::Applied } else { Fenced::Stale }
}

/// Whole milliseconds, at most a hundred years, so that no sum overflows.
fn millis(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 366 * 24 * 60 * 60 * 1000;
    i64::try_from(duration.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}

/// The key is a hash, so its first half is random enough. A collision only makes one claim wait for its next try.
fn advisory_lock(key: [u8; 16], salt: u64) -> i64 {
    let half = u128::from_be_bytes(key) >> 64;
    i64::from_ne_bytes((half as u64 ^ salt).to_ne_bytes())
}

const DONE: i16 = 2;

/// A claim never waits for a row by design. Should one do so anyway (its read was older than a claim *and* a
/// [`complete_in`](crate::idempotency::IdempotencyStore::complete_in) after it), it gives up long before a sender
/// would.
const CLAIM_LOCK_TIMEOUT: &str = "100ms";
