//! A store of your own for claims: any place that can change one record atomically will do.
//!
//! Run: cargo run --features conformance --example custom_store
//!
//! Behind `WebhookLayer::github(secret).with_idempotency(ToyStore::default())` it serves
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance::{self, OffsetHarness},
    error::StoreError,
    idempotency::{
        ABANDONED_AFTER, ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint,
        IdempotencyStore, StoredResponse,
    },
};

/// One map under one lock. Yours has a table, and one statement for each method.
struct ToyStore {
    records: Mutex<HashMap<ClaimKey, Record>>,
    start: Instant,
    offset: ClockOffset,
}

struct Record {
    state: State,
    token: ClaimToken,
    attempt: u32,
    fingerprint: Fingerprint,
    /// When the lease ends, or the record is released, or it is forgotten.
    until: Duration,
    response: Option<Arc<StoredResponse>>,
}

#[derive(PartialEq)]
enum State {
    Done,
    Pending,
    Released,
}

impl ToyStore {
    fn new(offset: ClockOffset) -> Self {
        Self { records: Mutex::default(), start: Instant::now(), offset }
    }

    /// Time is the store's own, the same for all who share it. The offset is for tests.
    fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_millis(self.offset.as_millis().unsigned_abs())
    }

    /// Lets the owner of a record change it. Anybody else is stale, and changes nothing.
    fn fenced(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        change: impl FnOnce(&mut Record, Duration) -> bool,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let now = self.now();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = records.get_mut(&key).is_some_and(|record| record.token == token && change(record, now));
        Box::pin(ready(Ok(if applied { Fenced::Applied } else { Fenced::Stale })))
    }
}

impl IdempotencyStore for ToyStore {
    fn claim(&self, claim: ClaimRequest) -> BoxFuture<'_, Result<ClaimOutcome, StoreError>> {
        let now = self.now();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = match records.get(&claim.key) {
            None => 1,
            Some(Record { state: State::Done, until, fingerprint, response, .. }) if *until > now => {
                let (fingerprint, response) = (*fingerprint, response.clone());
                return Box::pin(ready(Ok(ClaimOutcome::Done { fingerprint, response })));
            }
            Some(Record { state: State::Done, .. }) => 1,
            // Who asks again with the token that holds the claim has not heard the first answer.
            Some(Record { state: State::Pending, token, attempt, .. }) if *token == claim.token => *attempt,
            Some(Record { state: State::Pending, until, fingerprint, .. }) if *until > now => {
                let (retry_after, fingerprint) = (*until - now, *fingerprint);
                return Box::pin(ready(Ok(ClaimOutcome::InFlight { retry_after, fingerprint })));
            }
            Some(record) => record.attempt + 1,
        };
        let record = Record {
            state: State::Pending,
            token: claim.token,
            attempt,
            fingerprint: claim.fingerprint,
            until: now.saturating_add(claim.lease),
            response: None,
        };
        records.insert(claim.key, record);
        Box::pin(ready(Ok(ClaimOutcome::Acquired { attempt })))
    }

    fn complete(
        &self,
        key: ClaimKey,
        token: ClaimToken,
        completion: Completion,
    ) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.fenced(key, token, |record, now| match record.state {
            State::Pending => {
                (record.state, record.response) = (State::Done, completion.response);
                record.until = now.saturating_add(completion.retention);
                true
            }
            // A second time is a success, and prolongs nothing.
            State::Done => record.until > now,
            State::Released => false,
        })
    }

    fn release(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.fenced(key, token, |record, now| {
            if record.state == State::Pending {
                (record.state, record.until) = (State::Released, now);
            }
            record.state == State::Released
        })
    }

    fn renew(&self, key: ClaimKey, token: ClaimToken, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.fenced(key, token, |record, now| {
            let is_pending = record.state == State::Pending;
            if is_pending {
                record.until = now.saturating_add(lease);
            }
            is_pending
        })
    }

    fn is_done(&self, key: ClaimKey, token: ClaimToken) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.fenced(key, token, |record, now| record.state == State::Done && record.until > now)
    }

    fn purge(&self, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        let (now, mut removed) = (self.now(), 0);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, record| {
            let kept = if record.state == State::Done { Duration::ZERO } else { ABANDONED_AFTER };
            let is_needed = record.until.saturating_add(kept) > now || removed == u64::from(limit);
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
