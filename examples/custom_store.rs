//! A store of your own for claims: any place that can change one record atomically will do.
//!
//! Run: cargo run --features conformance --example custom_store
//!
//! Behind `WebhookLayer::github(secret).with_idempotency(ToyStore::default())` it serves
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::ready,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tower_webhooks::{
    BoxFuture,
    clock::{ClockOffset, Millis, after},
    conformance::{self, OffsetHarness},
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, IdempotencyStore, record::Record,
    },
};

/// One map under one lock. Yours has a table, and reads and writes a record in one transaction. What becomes of it is decided by the
/// rules of `Record`.
struct ToyStore {
    records: Mutex<HashMap<ClaimKey, Record>>,
    start: Instant,
    offset: ClockOffset,
}

impl ToyStore {
    fn new(offset: ClockOffset) -> Self {
        Self { records: Mutex::default(), start: Instant::now(), offset }
    }

    /// Time is the store's own, the same for all who share it. The offset is for tests.
    fn now(&self) -> Millis {
        after(self.offset.as_millis(), self.start.elapsed())
    }

    /// Changes a record, if there is one.
    fn change(
        &self,
        key: ClaimKey,
        change: impl FnOnce(&mut Record, Millis) -> Fenced,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let now = self.now();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let fenced = records.get_mut(&key).map_or(Fenced::Stale, |record| change(record, now));
        Box::pin(ready(Ok(fenced)))
    }
}

impl IdempotencyStore for ToyStore {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        let now = self.now();
        let outcome = match self.records.lock().unwrap_or_else(PoisonError::into_inner).entry(claim.key) {
            Entry::Occupied(mut record) => record.get_mut().claim(&claim, now),
            Entry::Vacant(place) => {
                place.insert(Record::first(&claim, now));
                ClaimOutcome::Acquired { attempt: 1 }
            }
        };
        Box::pin(ready(Ok(outcome)))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.change(key, |record, now| record.complete(token, &completion, now))
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.change(key, |record, now| record.release(token, now))
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.change(key, |record, now| record.renew(token, lease, now))
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.change(key, |record, now| record.is_done(token, now))
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        let (now, mut removed) = (self.now(), 0);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, record| {
            let is_needed = !record.is_purgeable(now) || removed == u64::from(limit);
            removed += u64::from(!is_needed);
            is_needed
        });
        Box::pin(ready(Ok(removed)))
    }
}

#[tokio::main]
async fn main() {
    let offset = ClockOffset::default();
    let store = ToyStore::new(offset.clone());

    // Every rule of the contract, with races; it panics with the number of the rule that is broken.
    conformance::idempotency(&OffsetHarness::new(store, offset)).await;

    println!("The store keeps the contract of `IdempotencyStore`.");
}
