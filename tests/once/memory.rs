//! Once, through a real server, with `MemoryStore`.

use tower_webhooks::{
    clock::ClockOffset,
    idempotency::{ClaimKey, IdempotencyStore},
    store::MemoryStore,
};

use crate::support::{claims::counts, once};

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_run_once() {
    once::copies_run_once(&[MemoryStore::new()], counts(64, 1_000) as usize, counts(2, 20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_runs_once_however_often_it_comes() {
    once::every_delivery_runs_once(&[MemoryStore::new()], counts(100, 10_000), counts(10, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_lease_is_taken_over_by_one() {
    let offset = ClockOffset::default();
    let store = MemoryStore::with_capacity_and_offset(1_000, offset.clone());

    once::a_passed_lease_is_taken_over_by_one(&[store], &offset, counts(64, 1_000) as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_stops_nothing() {
    once::a_client_that_goes_stops_nothing(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_lets_the_next_one_run_at_once() {
    once::a_failure_lets_the_next_one_run_at_once(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_where_it_failed() {
    let store = MemoryStore::new();

    once::a_batch_goes_on_where_it_failed(&[store.clone(), store]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_answers_replays_under_other_ids() {
    let store = MemoryStore::new();

    once::the_guard_answers_replays_under_other_ids(&[store.clone(), store]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_apart_by_their_names() {
    let store = MemoryStore::new();
    let named = |name: &str| store.clone().application_name(name).unwrap();

    let unnamed = [store.clone(), store.clone()];
    once::applications_are_apart_by_their_names(unnamed, [named("billing"), named("billing")], named("crm")).await;
}

/// No other program can use it.
#[tokio::test]
async fn programs_are_not_introduced_in_memory() {
    let key = ClaimKey::new("/hook", "github", None, b"p");
    let store = MemoryStore::new();

    for program in ["billing", "crm"] {
        assert_eq!(store.introduce(key, program).await.unwrap(), None);
    }
    assert!(store.is_empty());
}
