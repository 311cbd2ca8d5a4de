use std::{any::Any, time::Duration};

use sqlx::PgConnection;

use crate::{
    boxed::BoxFuture,
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore},
    store::{introduction::introduce, postgres::store::PostgresStore},
};

#[deny(clippy::missing_trait_methods)]
impl IdempotencyStore for PostgresStore {
    fn application(&self) -> Option<&str> {
        self.inner.application.as_deref()
    }

    fn introduce<'a>(&'a self, key: ClaimKey, program: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(introduce(self, key, program))
    }

    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        Box::pin(self.inner.claims.claim(claim))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.inner.claims.completion(None, key, token, completion))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.inner.claims.release(key, token))
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.inner.claims.renew(key, token, lease))
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.inner.claims.is_done(key, token))
    }

    fn complete_in<'a>(
        &'a self,
        connection: &'a mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'a, Result<Fenced, StoreError>> {
        match connection.downcast_mut::<PgConnection>() {
            Some(connection) => Box::pin(self.inner.claims.completion(Some(connection), key, token, completion)),
            None => Box::pin(std::future::ready(Err(StoreError::new(
                StoreErrorKind::WrongTransaction,
                "complete a delivery in a transaction that is not PostgreSQL's",
            )))),
        }
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.inner.claims.purge(limit))
    }
}
