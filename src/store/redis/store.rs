use std::{sync::Arc, time::Duration};

use redis::{Value, aio::ConnectionManager};
use tokio::time::timeout;

use super::{
    connection::Connection,
    error::{is_lost, store_error, timed_out},
    options::RedisStoreOptions,
    response,
    script::Script,
};
use crate::{
    boxed::BoxFuture,
    clock::{ClockOffset, millis},
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        IdempotencyStore,
    },
    store::{introduction::introduce, replaceable::Replaceable},
};

/// Keeps claims in Redis. Clones share the connection.
///
/// The [module](super) documentation says what it promises, and what the server must do.
///
/// ```
/// use tower_webhooks::{BoxError, Secret, WebhookLayer, idempotency::IdempotencyLayer, store::RedisStore};
///
/// # async fn layer() -> Result<WebhookLayer<IdempotencyLayer>, BoxError> {
/// let store = RedisStore::connect("rediss://redis.internal.example:6379").await?;
/// let layer = WebhookLayer::github(Secret::new("It's a Secret to Everybody")?).with_idempotency(store);
/// # Ok(layer)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    application: Option<Arc<str>>,
    connection: Replaceable<Connection>,
    prefix: String,
    timeout: Duration,
    clock_offset: ClockOffset,
    claim: Script,
    complete: Script,
    is_done: Script,
    release: Script,
    renew: Script,
}

impl RedisStore {
    /// Connects to one server with the default options.
    ///
    /// # Errors
    /// As for [`RedisStoreOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::options().connect(url).await
    }

    /// Uses the application's own connection, with the default options; see [`RedisStoreOptions::from_connection`].
    pub fn from_connection(connection: ConnectionManager) -> Self {
        Self::options().from_connection(connection)
    }

    /// Returns the default options, to change some.
    pub fn options() -> RedisStoreOptions {
        RedisStoreOptions::default()
    }

    pub(super) fn new(options: RedisStoreOptions, connection: Replaceable<Connection>) -> Self {
        Self {
            inner: Arc::new(Inner {
                application: options.application,
                connection,
                prefix: format!("{}claim:", options.prefix.as_str()),
                timeout: options.timeout,
                clock_offset: options.clock_offset,
                claim: Script::new(include_str!("scripts/claim.lua")),
                complete: Script::new(include_str!("scripts/complete.lua")),
                is_done: Script::new(include_str!("scripts/is_done.lua")),
                release: Script::new(include_str!("scripts/release.lua")),
                renew: Script::new(include_str!("scripts/renew.lua")),
            }),
        }
    }

    /// Runs a script on the key of a delivery within the timeout, and repeats it once when its connection turns out to be
    /// lost: calls are idempotent per token.
    async fn run(
        &self,
        context: &'static str,
        script: &Script,
        key: ClaimKey,
        token: ClaimToken,
        arguments: &[&[u8]],
    ) -> Result<Vec<Value>, StoreError> {
        let key = format!("{}{}", self.inner.prefix, data_encoding::HEXLOWER.encode(&key.to_bytes()));
        let (offset, token) = (self.inner.clock_offset.as_millis().to_string(), token.to_bytes());
        let arguments = [&[offset.as_bytes(), &token], arguments].concat();
        let current = self.inner.connection.current();
        let calls = async {
            match script.run(&current.value, &key, &arguments).await {
                Err(error) if is_lost(&error) => script.run(&current.value, &key, &arguments).await,
                done => done,
            }
        };
        let answer = match timeout(self.inner.timeout, calls).await {
            Ok(Ok(answer)) => {
                current.answered();
                answer
            }
            Ok(Err(error)) if !error.is_timeout() => return Err(store_error(error, context)),
            // The driver's own bound is the same, and may be noticed first.
            Ok(Err(_)) | Err(_) => {
                self.inner.connection.replace(&current);
                return Err(timed_out(context));
            }
        };
        match answer {
            Value::Array(answer) if answer.first() == Some(&Value::Int(OTHER_VERSION)) => {
                Err(StoreError::new(StoreErrorKind::Schema, UNKNOWN_VERSION))
            }
            Value::Array(answer) if answer.first() != Some(&Value::Int(NO_RECORD)) => Ok(answer),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
        }
    }

    async fn fenced(
        &self,
        context: &'static str,
        script: &Script,
        key: ClaimKey,
        token: ClaimToken,
        arguments: &[&[u8]],
    ) -> Result<Fenced, StoreError> {
        match self.run(context, script, key, token, arguments).await?.as_slice() {
            [Value::Int(0)] => Ok(Fenced::Stale),
            [Value::Int(1)] => Ok(Fenced::Applied),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
        }
    }
}

// Without `complete_in`: the default returns the error of a store without transactions.
impl IdempotencyStore for RedisStore {
    fn application(&self) -> Option<&str> {
        self.inner.application.as_deref()
    }

    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(introduce(self, key, program))
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            const CONTEXT: &str = "claim a delivery";

            let (lease, kept) = (decimal(claim.lease), decimal(ABANDONED_AFTER));
            let fingerprint = claim.fingerprint.to_bytes();
            let arguments: [&[u8]; 3] = [&fingerprint, lease.as_bytes(), kept.as_bytes()];
            let answer = self.run(CONTEXT, &self.inner.claim, claim.key, claim.token, &arguments).await?;
            outcome(answer).ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, CONTEXT))
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (retention, response) =
                (decimal(completion.retention), response::encode(completion.response.as_deref()));
            let arguments: [&[u8]; 2] = [retention.as_bytes(), &response];
            self.fenced("complete a delivery", &self.inner.complete, key, token, &arguments).await
        })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let kept = decimal(ABANDONED_AFTER);
            self.fenced("release a delivery", &self.inner.release, key, token, &[kept.as_bytes()]).await
        })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (lease, kept) = (decimal(lease), decimal(ABANDONED_AFTER));
            let arguments: [&[u8]; 2] = [lease.as_bytes(), kept.as_bytes()];
            self.fenced("renew a claim", &self.inner.renew, key, token, &arguments).await
        })
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.fenced("read whether a delivery is done", &self.inner.is_done, key, token, &[]))
    }

    /// Returns 0: keys expire by themselves.
    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        let _ = limit;
        Box::pin(std::future::ready(Ok(0)))
    }
}

/// Reads the outcome from the answer of the claim's script.
fn outcome(answer: Vec<Value>) -> Option<ClaimOutcome> {
    let mut answer = answer.into_iter();
    match answer.next()? {
        Value::Int(1) => {
            let attempt = u32::try_from(int(&answer.next()?)?).ok()?;
            Some(ClaimOutcome::Acquired { attempt })
        }
        Value::Int(2) => {
            let rest = u64::try_from(int(&answer.next()?)?).ok()?;
            let fingerprint = fingerprint(answer.next()?)?;
            Some(ClaimOutcome::InFlight { retry_after: Duration::from_millis(rest), fingerprint })
        }
        Value::Int(3) => {
            let fingerprint = fingerprint(answer.next()?)?;
            let response = response::decode(bytes(answer.next()?)?)?.map(Arc::new);
            Some(ClaimOutcome::Done { fingerprint, response })
        }
        _ => None,
    }
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(int) => Some(*int),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn fingerprint(value: Value) -> Option<Fingerprint> {
    Some(Fingerprint::from_bytes(bytes(value)?.try_into().ok()?))
}

/// Whole milliseconds as the scripts take them, at most a hundred years: fifteen digits hold any sum, and Lua counts that
/// far without rounding.
fn decimal(duration: Duration) -> String {
    const CENTURY: i64 = 100 * 366 * 24 * 60 * 60 * 1000;
    millis(duration).min(CENTURY).to_string()
}

const OTHER_VERSION: i64 = -1;

const NO_RECORD: i64 = -2;

const UNKNOWN_VERSION: &str =
    "the record was written by another version of this crate; upgrade `tower-webhooks`, or use another prefix";
