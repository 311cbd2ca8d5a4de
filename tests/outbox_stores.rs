//! Every outbox keeps the contract, as the bare type, `Box<dyn _>` and `Arc<dyn _>`.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    send::{
        After, AttemptRecord, DeliveryRecord, EndpointDraft, EndpointId, EndpointSettings, Finish, LeaseRequest,
        LeaseToken, Message, OutboxId, OutboxStore, Sealed, Style,
    },
    store::{MemoryOutbox, SqliteStore, sqlite::SqliteStoreOptions},
};

fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}

async fn sqlite(folder: &tempfile::TempDir, offset: &ClockOffset) -> SqliteStore {
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    conformance::outbox(MemoryOutbox::with_offset(offset.clone()), by(&offset)).await;
    let boxed: Box<dyn OutboxStore> = Box::new(MemoryOutbox::with_offset(offset.clone()));
    conformance::outbox(boxed, by(&offset)).await;
    let shared: Arc<dyn OutboxStore> = Arc::new(MemoryOutbox::with_offset(offset.clone()));
    conformance::outbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    conformance::outbox(sqlite(&folder, &offset).await, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract_boxed_and_shared() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let boxed: Box<dyn OutboxStore> = Box::new(sqlite(&folder, &offset).await);
    conformance::outbox(boxed, by(&offset)).await;
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let shared: Arc<dyn OutboxStore> = Arc::new(sqlite(&folder, &offset).await);
    conformance::outbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_in_memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect("sqlite::memory:").await.unwrap();
    conformance::outbox(store, by(&offset)).await;
}

/// More of them than one call of `lease` looks at.
#[tokio::test]
async fn many_endpoints_without_room_hold_up_no_other() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let store = sqlite(&folder, &offset).await;
    let register = async |tenant: &str| {
        let sealed = Sealed::new("", &b"sealed"[..]);
        let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
        store
            .create_endpoint(EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings), u32::MAX)
            .await
            .unwrap();
    };
    let message = |tenant: &str| Message::new("a", &1).unwrap().tenant(tenant);
    let lease = async |limit| {
        let leases = store
            .lease(LeaseRequest::new(LeaseToken::random().unwrap(), Duration::from_secs(600), limit))
            .await
            .unwrap();
        leases.deliveries.len()
    };
    for _ in 0..260 {
        register("slow").await;
    }
    for _ in 0..5 {
        store.dispatch(vec![message("slow")]).await.unwrap();
    }
    let mut leased = 0;
    while let more @ 1.. = lease(10_000).await {
        leased += more;
    }
    assert_eq!(leased, 260 * 4);

    register("quick").await;
    store.dispatch(vec![message("quick")]).await.unwrap();

    assert_eq!(lease(10).await, 1);
}

/// The records that a store answers with can be made outside of this crate too.
#[test]
fn a_store_can_make_every_record() {
    let at = SystemTime::UNIX_EPOCH;
    let message = Message::new("a", &1).unwrap().tenant("acme");
    let endpoint = EndpointId::random().unwrap();
    let mut finish = Finish::new(After::Delivered);
    finish.status = Some(204);

    let delivery = DeliveryRecord::new(OutboxId::from_u64(1), &message, endpoint, at);
    let attempt = AttemptRecord::new(1, at, finish);

    assert_eq!((&*delivery.tenant, &*delivery.event_type, delivery.endpoint), ("acme", "a", endpoint));
    assert_eq!((attempt.attempt, attempt.status, attempt.error), (1, Some(204), None));
}
