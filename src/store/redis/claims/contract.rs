use std::{sync::Arc, time::Duration};

use redis::Value;

use super::response;
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        IdempotencyStore,
    },
    store::{
        introduction::introduce,
        redis::{server::decimal, store::RedisStore},
    },
};

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

            let claims = &self.inner.claims;
            let (lease, kept) = (decimal(claim.lease), decimal(ABANDONED_AFTER));
            let fingerprint = claim.fingerprint.to_bytes();
            let arguments: [&[u8]; 3] = [&fingerprint, lease.as_bytes(), kept.as_bytes()];
            let answer = claims.run(CONTEXT, &claims.claim, claim.key, claim.token, &arguments).await?;
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
            self.inner.claims.fenced("complete a delivery", &self.inner.claims.complete, key, token, &arguments).await
        })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let kept = decimal(ABANDONED_AFTER);
            self.inner
                .claims
                .fenced("release a delivery", &self.inner.claims.release, key, token, &[kept.as_bytes()])
                .await
        })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let (lease, kept) = (decimal(lease), decimal(ABANDONED_AFTER));
            let arguments: [&[u8]; 2] = [lease.as_bytes(), kept.as_bytes()];
            self.inner.claims.fenced("renew a claim", &self.inner.claims.renew, key, token, &arguments).await
        })
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.inner.claims.fenced(
            "read whether a delivery is done",
            &self.inner.claims.is_done,
            key,
            token,
            &[],
        ))
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
