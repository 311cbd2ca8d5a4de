use std::{any::Any, time::Duration};

use sqlx::SqliteConnection;

use super::writer::Act;
use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore},
    store::{introduction::introduce, sqlite::store::SqliteStore},
};

impl IdempotencyStore for SqliteStore {
    fn application(&self) -> Option<&str> {
        self.shared.application.as_deref()
    }

    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(introduce(self, key, program))
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(async move {
            let claims = &self.shared.claims;
            if let Some(mut record) = claims.look_up(claim.key).await? {
                // On a copy, to see the outcome if the record stays as it was read. Only a claim that would succeed has
                // to be decided under the lock.
                match record.claim(&claim, claims.now()) {
                    ClaimOutcome::Acquired { .. } => {}
                    known => return Ok(known),
                }
            }
            claims.claim(claim).await
        })
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.shared.claims.act(key, token, Act::Complete(completion)))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.shared.claims.act(key, token, Act::Release))
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.shared.claims.act(key, token, Act::Renew(lease)))
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            let claims = &self.shared.claims;
            let record = claims.look_up(key).await?;
            Ok(record.map_or(Fenced::Stale, |record| record.is_done(token, claims.now())))
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
                    "complete a claim: the store is SQLite, and the connection is not an `sqlx::SqliteConnection`",
                ));
            };
            self.shared.claims.complete_in(connection, key, token, &completion).await
        })
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut removed = 0;
            let mut left = limit;
            while left > 0 {
                let step = left.min(PURGE_STEP);
                let of_step = self.shared.claims.purge(step).await?;
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

/// How many records are removed under one hold of the write lock.
const PURGE_STEP: u32 = 500;
