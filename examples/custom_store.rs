//! A custom store for claims: any database that can change one record atomically can be used.
//!
//! Run: cargo run --features conformance --example custom_store
//!
//! Behind `WebhookLayer::github(secret).with_idempotency(ToyStore::default())` it serves
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // An example prints its results.

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

/// One map with one lock. A real store has a table, and reads and writes a record in one transaction. The rules of
/// `Record` decide how the record changes.
struct ToyStore {
    records: Mutex<HashMap<ClaimKey, Record>>,
    start: Instant,
    offset: ClockOffset,
}

impl ToyStore {
    fn new(offset: ClockOffset) -> Self {
        Self { records: Mutex::default(), start: Instant::now(), offset }
    }

    /// The store's own time, the same for all processes that share it. The offset is for tests.
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

    // Checks every rule of the contract, also with races, and panics with the number of a broken rule.
    conformance::idempotency(&OffsetHarness::new(store, offset)).await;

    println!("The store keeps the contract of `IdempotencyStore`.");
}
