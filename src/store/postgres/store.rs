use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Row, pool::PoolConnection, postgres::PgRow};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

use super::{
    error::{LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, has_code, is_lost, is_unanswered, no_answer, store_error},
    migration::{self, CLAIMS, Part, Schema, Versions},
    options::PostgresStoreOptions,
    outbox::{Outbox, PARTS},
    statement::{Mode, Statement, Tables, Value},
};
use crate::{
    boxed::BoxFuture,
    clock::ClockOffset,
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        IdempotencyStore, StoredResponse,
    },
    store::{
        introduction::introduce,
        replaceable::{Current, Replaceable},
    },
};

/// Keeps claims in PostgreSQL. Clones share the pool.
///
/// See the [module](super) for what it promises.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    application: Option<Arc<str>>,
    pub(super) pool: Replaceable<PgPool>,
    tables: Tables,
    pub(super) mode: Mode,
    pub(super) timeout: Duration,
    pub(super) clock_offset: ClockOffset,
    /// The longest wait of a fenced statement for a row that an application's transaction holds. It ends before the call's
    /// own time does, so that the answer is "busy" and the connection stays usable.
    lock_timeout: Box<str>,
    /// Set once the tables of claims were found to fit; until then each call looks.
    checked: AtomicBool,
    pub(super) outbox: Outbox,
    /// Keeps the advisory locks of two stores in one database apart.
    lock_salt: u64,
    claim: Statement,
    complete: Statement,
    is_done: Statement,
    purge: Statement,
    read_schema: Statement,
    release: Statement,
    renew: Statement,
}

impl PostgresStore {
    /// Connects with the default options, and migrates.
    ///
    /// # Errors
    /// As for [`PostgresStoreOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::options().connect(url).await
    }

    /// Connects with the default options, and checks that the schema is there.
    ///
    /// # Errors
    /// As for [`PostgresStoreOptions::connect_without_migrating`].
    pub async fn connect_without_migrating(url: &str) -> Result<Self, StoreError> {
        Self::options().connect_without_migrating(url).await
    }

    /// Uses the application's own pool, with the default options; see [`PostgresStoreOptions::from_pool`].
    pub fn from_pool(pool: PgPool) -> Self {
        Self::options().from_pool(pool)
    }

    /// Starts with the default options.
    pub fn options() -> PostgresStoreOptions {
        PostgresStoreOptions::default()
    }

    pub(super) fn new(options: PostgresStoreOptions, pool: Replaceable<PgPool>) -> Self {
        let tables = options.tables();
        let statement = |template| Statement::new(&tables, template);
        let mut salt = [0; 8];
        salt.copy_from_slice(&Sha256::digest(&tables.claims)[..8]);
        let lock_salt = u64::from_be_bytes(salt);
        let lock_timeout = format!("{}ms", (options.timeout.as_millis() / 2).clamp(1, 60_000));
        Self {
            inner: Arc::new(Inner {
                pool,
                outbox: Outbox::new(&tables, options.timeout, &lock_timeout, lock_salt, options.notifies()),
                application: options.application,
                mode: options.mode,
                timeout: options.timeout,
                lock_timeout: lock_timeout.into(),
                checked: AtomicBool::new(false),
                lock_salt,
                claim: statement(include_str!("claims/sql/claim.sql")),
                complete: statement(include_str!("claims/sql/complete.sql")),
                is_done: statement(include_str!("claims/sql/is_done.sql")),
                purge: statement(include_str!("claims/sql/purge.sql")),
                read_schema: statement(migration::READ),
                release: statement(include_str!("claims/sql/release.sql")),
                renew: statement(include_str!("claims/sql/renew.sql")),
                clock_offset: options.clock_offset,
                tables,
            }),
        }
    }

    /// Brings the schema up to date. Safe to call twice, and from many instances at once.
    ///
    /// It needs no right to create anything if there is nothing to do. It is bounded by 60 seconds, since it waits for
    /// another instance that is migrating.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses; [`Schema`](StoreErrorKind::Schema) when the tables are too new.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let found = self.read_versions(self.deadline()).await?;
        if PARTS.iter().all(|part| part.judge(&found) == Schema::Fits) {
            self.fits();
            return Ok(());
        }
        match timeout(MIGRATION_TIMEOUT, self.apply_migrations()).await {
            Ok(Ok(schema)) => schema.into_result()?,
            Ok(Err(error)) => return Err(store_error(error, MIGRATE)),
            Err(_) => return Err(store_error(no_answer(), MIGRATE)),
        }
        self.fits();
        Ok(())
    }

    /// Checks that the schema fits this version of the crate. The first call of a store does the same.
    ///
    /// # Errors
    /// [`Schema`](StoreErrorKind::Schema) when the tables are missing, older, or too new; otherwise when the server cannot
    /// be asked.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let found = self.read_versions(self.deadline()).await?;
        PARTS.iter().try_for_each(|part| part.judge(&found).into_result())?;
        self.fits();
        Ok(())
    }

    /// Returns the pool that the store uses: the application's, or the one that [`connect`](Self::connect) made, for the
    /// transactions in which handlers commit their effects with their claims.
    ///
    /// Ask again for each use. A pool of the store's own is replaced by another one when its server has stopped answering.
    pub fn pool(&self) -> PgPool {
        self.inner.pool.current().value
    }

    /// Notes that the tables of all parts fit.
    fn fits(&self) {
        self.inner.checked.store(true, Ordering::Release);
        self.inner.outbox.fits();
    }

    async fn read_versions(&self, deadline: Instant) -> Result<Vec<Versions>, StoreError> {
        let rows = self.run(deadline, &self.inner.read_schema, &[]).await;
        migration::versions(rows).map_err(|error| store_error(error, READ_SCHEMA))
    }

    async fn apply_migrations(&self) -> Result<Schema, sqlx::Error> {
        // Not the role's default: under a stricter level, the snapshot would be older than the lock.
        let mut transaction =
            self.inner.pool.current().value.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let schema = migration::apply(&mut transaction, &self.inner.tables, PARTS).await?;
        transaction.commit().await?;
        Ok(schema)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.inner.timeout
    }

    async fn begin(&self) -> Result<Instant, StoreError> {
        self.begin_on(&CLAIMS, &self.inner.checked).await
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

    async fn fetch(
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
        let current = self.inner.pool.current();
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

    /// Notes whether the server has answered; when it has not, the next call goes another way.
    pub(super) fn note<T>(&self, current: &Current<PgPool>, done: &Result<T, sqlx::Error>) {
        match done {
            Ok(_) | Err(sqlx::Error::Database(_)) => current.answered(),
            Err(error) if is_unanswered(error) => self.inner.pool.replace(current),
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
        let done = timeout_at(deadline, statement.fetch_all(connection, self.inner.mode, values)).await;
        settle(connection, done)
    }

    /// Runs a fenced statement: one row if the record was the caller's.
    async fn fenced(
        &self,
        context: &'static str,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Fenced, StoreError> {
        let deadline = self.begin().await?;
        let row = self.fetch(deadline, statement, values).await.map_err(|error| store_error(error, context))?;
        Ok(applied(row.is_some()))
    }

    async fn try_claim(&self, claim: ClaimRequest) -> Result<ClaimOutcome, StoreError> {
        const CONTEXT: &str = "claim a delivery";

        let (key, token) = (claim.key.to_bytes(), claim.token.to_bytes());
        let fingerprint = claim.fingerprint.to_bytes();
        let values = [
            Value::from(&key),
            Value::from(&token),
            Value::from(&fingerprint),
            Value::from(millis(claim.lease)),
            Value::from(self.inner.clock_offset.as_millis()),
            Value::from(advisory_lock(key, self.inner.lock_salt)),
            Value::from(CLAIM_LOCK_TIMEOUT),
            Value::from(millis(ABANDONED_AFTER)),
        ];
        let deadline = self.begin().await?;
        let mut result = self.fetch(deadline, &self.inner.claim, &values).await;
        if result.as_ref().is_err_and(|error| has_code(error, SERIALIZATION_FAILURE)) {
            // The role's default isolation level is stricter than read committed. The record has just changed, and a
            // new statement can read it.
            result = self.fetch(deadline, &self.inner.claim, &values).await;
        }
        // Somebody is claiming it at this very moment, and their record cannot be read yet.
        let contended = ClaimOutcome::InFlight { retry_after: claim.lease, fingerprint: claim.fingerprint };
        match result {
            Ok(Some(row)) => outcome(&row, contended).map_err(|error| store_error(error, CONTEXT)),
            Ok(None) => Err(store_error(sqlx::Error::RowNotFound, CONTEXT)),
            Err(error) if has_code(&error, LOCK_NOT_AVAILABLE) => Ok(contended),
            Err(error) => Err(store_error(error, CONTEXT)),
        }
    }

    /// Completes inside the application's transaction, if there is one, else on a connection of our own.
    async fn completion(
        &self,
        transaction: Option<&mut PgConnection>,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> Result<Fenced, StoreError> {
        const CONTEXT: &str = "complete a delivery";

        let (key, token) = (key.to_bytes(), token.to_bytes());
        // The `lock_timeout` of the application's transaction is not ours to change.
        let lock_timeout = if transaction.is_some() { "" } else { &self.inner.lock_timeout };
        let response = completion.response.as_deref();
        let values = [
            Value::from(&key),
            Value::from(&token),
            Value::from(self.inner.clock_offset.as_millis()),
            Value::from(lock_timeout),
            Value::from(millis(completion.retention)),
            Value::Int(response.map(|response| i64::from(response.status))),
            Value::Text(response.and_then(|response| response.content_type.as_deref())),
            Value::Bytes(response.map(|response| &response.body[..])),
        ];
        let Some(connection) = transaction else {
            return self.fenced(CONTEXT, &self.inner.complete, &values).await;
        };
        match timeout(self.inner.timeout, self.inner.complete.fetch(connection, self.inner.mode, &values)).await {
            Ok(Ok(row)) => Ok(applied(row.is_some())),
            Ok(Err(error)) => Err(joined_error(error)),
            Err(_) => Err(store_error(no_answer(), CONTEXT)),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl IdempotencyStore for PostgresStore {
    fn application(&self) -> Option<&str> {
        self.inner.application.as_deref()
    }

    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(introduce(self, key, program))
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(self.try_claim(claim))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.completion(None, key, token, completion))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (key, token) = (key.to_bytes(), token.to_bytes());
            let values = [
                Value::from(&key),
                Value::from(&token),
                Value::from(self.inner.clock_offset.as_millis()),
                Value::from(&*self.inner.lock_timeout),
                Value::from(millis(ABANDONED_AFTER)),
            ];
            self.fenced("release a delivery", &self.inner.release, &values).await
        })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (key, token) = (key.to_bytes(), token.to_bytes());
            let values = [
                Value::from(&key),
                Value::from(&token),
                Value::from(self.inner.clock_offset.as_millis()),
                Value::from(&*self.inner.lock_timeout),
                Value::from(millis(lease)),
                Value::from(millis(ABANDONED_AFTER)),
            ];
            self.fenced("renew a claim", &self.inner.renew, &values).await
        })
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (key, token) = (key.to_bytes(), token.to_bytes());
            let values = [Value::from(&key), Value::from(&token), Value::from(self.inner.clock_offset.as_millis())];
            self.fenced("read whether a delivery is done", &self.inner.is_done, &values).await
        })
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        match connection.downcast_mut::<PgConnection>() {
            Some(connection) => Box::pin(self.completion(Some(connection), key, token, completion)),
            None => Box::pin(std::future::ready(Err(StoreError::new(
                StoreErrorKind::WrongTransaction,
                "complete a delivery in a transaction that is not PostgreSQL's",
            )))),
        }
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            const CONTEXT: &str = "purge records";

            let values = [Value::from(i64::from(limit)), Value::from(self.inner.clock_offset.as_millis())];
            let deadline = self.begin().await?;
            let gone = match self.fetch(deadline, &self.inner.purge, &values).await {
                Ok(Some(row)) => row.try_get::<i64, _>("gone"),
                Ok(None) => Err(sqlx::Error::RowNotFound),
                Err(error) => Err(error),
            };
            gone.map(i64::unsigned_abs).map_err(|error| store_error(error, CONTEXT))
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("claims", &self.inner.tables.claims)
            .field("mode", &self.inner.mode)
            .field("timeout", &self.inner.timeout)
            .finish_non_exhaustive()
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

/// Inside the application's transaction, missing tables mean that it is of another database, or finds other schemas.
fn joined_error(error: sqlx::Error) -> StoreError {
    let error = store_error(error, "complete a delivery in the application's transaction");
    match error.kind() {
        StoreErrorKind::Schema => StoreError::new(
            StoreErrorKind::WrongTransaction,
            "complete a delivery in a transaction that does not find the store's tables",
        )
        .with_source(error),
        _ => error,
    }
}

/// Takes a connection out of the pool that is lost or did not answer in time.
///
/// Given back, it would sit in the pool's own test, and keep its place, for as long as the server hangs.
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

/// Reads what the claim's one row says.
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

/// The key is a hash, so its first half is as good a number as any; a collision makes one claim wait for its next try.
fn advisory_lock(key: [u8; 16], salt: u64) -> i64 {
    let half = u128::from_be_bytes(key) >> 64;
    i64::from_ne_bytes((half as u64 ^ salt).to_ne_bytes())
}

const DONE: i16 = 2;

/// A claim never waits for a row by design. Should one do so all the same (its read was older than a claim *and* a
/// [`complete_in`](IdempotencyStore::complete_in) after it), it gives up well before anybody notices.
const CLAIM_LOCK_TIMEOUT: &str = "100ms";

const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);

const MIGRATE: &str = "migrate the schema";

const READ_SCHEMA: &str = "read the version of the schema";
