use std::{any::Any, future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    key::{ClaimKey, ClaimToken},
    store::{ClaimOutcome, ClaimRequest, Completion, IdempotencyStore},
};
use crate::{
    error::{StoreError, StoreErrorKind},
    fencing::Fenced,
};

/// The application's store, with a timeout for each call.
#[derive(Clone)]
pub(super) struct BoundedStore {
    store: Arc<dyn IdempotencyStore>,
    pub(super) timeout: Duration,
}

impl BoundedStore {
    pub(super) fn new(store: impl IdempotencyStore, timeout: Duration) -> Self {
        Self { store: Arc::new(store), timeout }
    }

    pub(super) fn application(&self) -> Option<&str> {
        self.store.application()
    }

    pub(super) async fn introduce(&self, key: ClaimKey, program: &str) -> Result<Option<String>, StoreError> {
        self.bounded(self.store.introduce(key, program)).await
    }

    pub(super) async fn claim(&self, claim: ClaimRequest) -> Result<ClaimOutcome, StoreError> {
        self.bounded(self.store.claim(claim)).await
    }

    pub(super) async fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> Result<Fenced, StoreError> {
        self.bounded(self.store.complete(key, token, completion)).await
    }

    pub(super) async fn release(&self, key: ClaimKey, token: ClaimToken) -> Result<Fenced, StoreError> {
        self.bounded(self.store.release(key, token)).await
    }

    pub(super) async fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> Result<Fenced, StoreError> {
        self.bounded(self.store.renew(key, token, lease)).await
    }

    pub(super) async fn is_done(&self, key: ClaimKey, token: ClaimToken) -> Result<Fenced, StoreError> {
        self.bounded(self.store.is_done(key, token)).await
    }

    /// Not bounded: the transaction is the handler's, and so is the time.
    pub(super) async fn complete_in(
        &self,
        connection: &mut (dyn Any + Send),
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> Result<Fenced, StoreError> {
        self.store.complete_in(connection, key, token, completion).await
    }

    pub(super) async fn purge(&self, limit: u32) -> Result<u64, StoreError> {
        self.bounded(self.store.purge(limit)).await
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match timeout(self.timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, format!("no answer within {:?}", self.timeout))),
        }
    }
}
