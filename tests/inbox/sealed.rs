//! Stored events are sealed if a key is set, in every store.

use std::sync::Arc;

use tower_webhooks::{
    clock::ClockOffset,
    inbox::{EventState, InboxStore, SealingKey},
    store::{MemoryInbox, PostgresStore, RedisStore},
};

use super::{
    durable::AT_ONCE,
    shop::{Running, Shop, app, inbox, only, order, send, until_all_ended},
    stores::{postgres, redis, sqlite},
};

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes([byte; 32]).unwrap()
}

async fn is_sealed_and_opened_by_its_key_alone(store: Arc<dyn InboxStore>) {
    let shop = Shop::default();
    let plain = inbox(store.clone(), &shop);
    let old = inbox(store.clone(), &shop).with_sealing_key(key(1));
    send(&app(&plain), order("before")).await;
    let before = only(&plain).await.id;
    send(&app(&old), order("sealed")).await;
    assert!(send(&app(&old), order("sealed")).await.replayed, "a duplicate is known without being opened");

    let listed = old.events(Default::default(), 10).await.unwrap();
    let id = listed.iter().find(|record| record.id != before).unwrap().id;
    let stored = store.event(id).await.unwrap().unwrap().content.unwrap();
    for text in ["customer", "order", "/hook", "POST", "evt"] {
        assert!(!stored.head.contains(text), "{stored:?} shows `{text}` in its head");
        assert!(!stored.body.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "`{text}` in its body");
    }
    let shown = old.event(id).await.unwrap().unwrap().content.unwrap();
    assert!(shown.head.contains("/hook") && shown.body.starts_with(b"{"));
    assert!(plain.event(id).await.unwrap().unwrap().content.is_none(), "without the key it is not shown");

    // The old key was removed too early: nothing is lost, and the reason says which key it was.
    let early = inbox(store.clone(), &shop).with_sealing_key(key(2));
    drop((plain, old));
    let worker = Running::start(early.worker().with_retries(AT_ONCE(2)));
    until_all_ended(&early).await;
    worker.stop().await;
    let dead = early.event(id).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.attempt), (EventState::Dead, 2));
    let reason = dead.reason.unwrap();
    assert!(reason.contains(key(1).id()) && reason.contains("sealed"), "{reason}");
    assert_eq!(shop.done(), ["before"], "what was stored before there was a key");

    drop(early);
    let both = inbox(store, &shop).with_sealing_key(key(2)).with_sealing_key(key(1));
    assert!(both.replay(id).await.unwrap());
    send(&app(&both), order("new")).await;
    let worker = Running::start(both.worker());
    until_all_ended(&both).await;
    worker.stop().await;
    let mut done = shop.done();
    done.sort();
    assert_eq!(done, ["before", "new", "sealed"]);
}

#[tokio::test]
async fn what_is_stored_is_opened_by_its_key_alone_in_memory() {
    is_sealed_and_opened_by_its_key_alone(Arc::new(MemoryInbox::new())).await;
}

#[tokio::test]
async fn what_is_stored_is_opened_by_its_key_alone_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    is_sealed_and_opened_by_its_key_alone(Arc::new(sqlite(&folder, &ClockOffset::default()).await)).await;
}

#[tokio::test]
async fn what_is_stored_is_opened_by_its_key_alone_in_postgres() {
    let (_server, store) = postgres(PostgresStore::options(), &ClockOffset::default()).await;
    is_sealed_and_opened_by_its_key_alone(Arc::new(store)).await;
}

#[tokio::test]
async fn what_is_stored_is_opened_by_its_key_alone_in_redis() {
    let (_server, store) = redis(RedisStore::options(), &ClockOffset::default()).await;
    is_sealed_and_opened_by_its_key_alone(Arc::new(store)).await;
}
