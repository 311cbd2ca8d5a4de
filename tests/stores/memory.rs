//! `MemoryStore`, through the public API.

use std::{sync::Arc, time::Duration};

use tower_webhooks::{
    clock::ClockOffset,
    conformance::{self, OffsetHarness},
    error::StoreErrorKind,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fenced, Fingerprint, IdempotencyStore,
    },
    store::MemoryStore,
};

const LEASE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(100_000, offset.clone());

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_as_a_boxed_store() {
    let offset = ClockOffset::default();
    let store: Box<dyn IdempotencyStore> = Box::new(MemoryStore::with_capacity_and_offset(1_000, offset.clone()));

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_as_a_shared_store() {
    let offset = ClockOffset::default();
    let store: Arc<dyn IdempotencyStore> = Arc::new(MemoryStore::with_capacity_and_offset(5_000, offset.clone()));

    conformance::idempotency(&OffsetHarness::new(store, offset)).await;
}

#[test]
fn random_interleavings_are_answered_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(1_000_000, offset.clone());

    crate::support::interleavings::check_interleavings(&runtime, &OffsetHarness::new(store, offset), 500);
}

#[tokio::test]
async fn a_flood_of_ten_times_the_bound_loses_no_pending_claim() {
    let store = MemoryStore::with_capacity(5_000);
    let mut pending = Vec::new();
    for id in 0..2_000 {
        pending.push((id, acquire(&store, id).await));
    }

    for id in 2_000..52_000 {
        let token = ClaimToken::random().unwrap();
        match store.claim(request(id, token)).await {
            Ok(ClaimOutcome::Acquired { attempt: 1 }) => {
                assert_eq!(complete(&store, id, token).await, Fenced::Applied);
            }
            other => panic!("{other:?}"),
        }
    }

    assert!(store.len() <= 5_000);
    for (id, token) in pending {
        assert_eq!(complete(&store, id, token).await, Fenced::Applied, "claim {id} was lost");
    }
}

#[tokio::test]
async fn a_store_full_of_pending_claims_refuses_new_ones() {
    let store = MemoryStore::with_capacity(10);
    for id in 0..10 {
        acquire(&store, id).await;
    }

    let refused = store.claim(request(10, ClaimToken::random().unwrap())).await.unwrap_err();
    let known = store.claim(request(3, ClaimToken::random().unwrap())).await;

    assert_eq!(refused.kind(), StoreErrorKind::Full);
    assert!(matches!(known, Ok(ClaimOutcome::InFlight { .. })), "{known:?}");
    assert_eq!(store.len(), 10);
}

#[tokio::test]
async fn what_was_done_first_makes_room_first() {
    let store = MemoryStore::with_capacity(10);
    for id in 0..10 {
        let token = acquire(&store, id).await;
        let _ = complete(&store, id, token).await;
    }

    acquire(&store, 10).await;

    assert!(matches!(store.claim(request(9, ClaimToken::random().unwrap())).await, Ok(ClaimOutcome::Done { .. })));
    assert!(matches!(store.claim(request(0, ClaimToken::random().unwrap())).await, Ok(ClaimOutcome::Acquired { .. })));
}

#[tokio::test]
async fn a_released_claim_makes_room_too() {
    let store = MemoryStore::with_capacity(2);
    let first = acquire(&store, 0).await;
    acquire(&store, 1).await;

    let _ = store.release(key(0), first).await.unwrap();
    acquire(&store, 2).await;

    assert_eq!(store.len(), 2);
    assert!(store.claim(request(3, first)).await.is_err());
}

#[tokio::test]
async fn a_passed_lease_makes_room_when_nothing_else_does() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(3, offset.clone());
    for id in 0..3 {
        acquire(&store, id).await;
    }
    assert!(store.claim(request(3, ClaimToken::random().unwrap())).await.is_err());
    offset.advance(LEASE * 2);
    let renewed = acquire(&store, 1).await;

    acquire(&store, 3).await;
    acquire(&store, 4).await;

    assert!(store.claim(request(5, ClaimToken::random().unwrap())).await.is_err());
    assert_eq!(complete(&store, 1, renewed).await, Fenced::Applied);
}

#[tokio::test]
async fn claiming_and_releasing_one_key_does_not_grow_the_store() {
    let store = MemoryStore::with_capacity(100);
    for id in 0..100 {
        let token = acquire(&store, id).await;
        for _ in 0..100 {
            let _ = store.release(key(id), token).await.unwrap();
            let _ = store.claim(request(id, token)).await.unwrap();
        }
    }

    assert_eq!(store.len(), 100);
    assert!(store.claim(request(100, ClaimToken::random().unwrap())).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_run_each_delivery_once() {
    let store = MemoryStore::with_capacity(100_000);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut won = 0;
                for id in 0..2_000 {
                    let token = ClaimToken::random().unwrap();
                    if let Ok(ClaimOutcome::Acquired { .. }) = store.claim(request(id, token)).await {
                        won += 1;
                        assert_eq!(complete(&store, id, token).await, Fenced::Applied);
                    }
                }
                won
            })
        })
        .collect();

    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }

    assert_eq!(won, 2_000);
}

fn key(id: u32) -> ClaimKey {
    ClaimKey::new("/webhooks", "test", None, &id.to_be_bytes())
}

fn request(id: u32, token: ClaimToken) -> ClaimRequest {
    ClaimRequest::new(key(id), token, LEASE, Fingerprint::of(b"{}"))
}

async fn acquire(store: &MemoryStore, id: u32) -> ClaimToken {
    let token = ClaimToken::random().unwrap();
    let outcome = store.claim(request(id, token)).await;
    assert!(matches!(outcome, Ok(ClaimOutcome::Acquired { .. })), "{id}: {outcome:?}");
    token
}

async fn complete(store: &MemoryStore, id: u32, token: ClaimToken) -> Fenced {
    store.complete(key(id), token, Completion::new(WEEK)).await.unwrap()
}
