//! The same handlers through every store that outlives its process.

use std::sync::Arc;

use tower_webhooks::{
    clock::ClockOffset,
    inbox::InboxStore,
    store::{PostgresStore, RedisStore},
};

use super::{
    stores::{postgres, redis, sqlite},
    working,
};

/// Each part has a store of its own, of the kind that `open` opens.
async fn through<K>(open: impl AsyncFn() -> (K, Arc<dyn InboxStore>)) {
    let (_kept, store) = open().await;
    working::sees_the_same(store).await;
    let (_kept, store) = open().await;
    working::fails_in_each_way(store).await;
    let (_kept, store) = open().await;
    working::keeps_the_order(store).await;
    let (_kept, store) = open().await;
    working::is_changed_by_hand(store).await;
}

#[tokio::test]
async fn handlers_work_alike_through_sqlite() {
    through(async || {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn InboxStore> = Arc::new(sqlite(&folder, &ClockOffset::default()).await);
        (folder, store)
    })
    .await;
}

#[tokio::test]
async fn handlers_work_alike_through_postgres() {
    through(async || {
        let (server, store) = postgres(PostgresStore::options(), &ClockOffset::default()).await;
        let store: Arc<dyn InboxStore> = Arc::new(store);
        (server, store)
    })
    .await;
}

#[tokio::test]
async fn handlers_work_alike_through_redis() {
    through(async || {
        let (server, store) = redis(RedisStore::options(), &ClockOffset::default()).await;
        let store: Arc<dyn InboxStore> = Arc::new(store);
        (server, store)
    })
    .await;
}
