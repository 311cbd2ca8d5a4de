//! Every store keeps the contract, as the bare type, `Box<dyn _>` and `Arc<dyn _>`.

use std::{sync::Arc, time::Duration};

use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    inbox::InboxStore,
    store::{
        MemoryInbox, PostgresStore, RedisStore, SqliteStore, postgres::PostgresStoreOptions, redis::RedisStoreOptions,
        sqlite::SqliteStoreOptions,
    },
};

use crate::support::{
    postgres_server::PostgresServer,
    redis_server::{Cluster, RedisServer},
};

pub(crate) fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}

pub(crate) async fn sqlite(folder: &tempfile::TempDir, offset: &ClockOffset) -> SqliteStore {
    let url = format!("sqlite://{}/inbox.db", folder.path().display());
    SqliteStoreOptions::new().clock_offset(offset.clone()).connect(&url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    conformance::inbox(MemoryInbox::with_offset(offset.clone()), by(&offset)).await;
    let boxed: Box<dyn InboxStore> = Box::new(MemoryInbox::with_offset(offset.clone()));
    conformance::inbox(boxed, by(&offset)).await;
    let shared: Arc<dyn InboxStore> = Arc::new(MemoryInbox::with_offset(offset.clone()));
    conformance::inbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    conformance::inbox(sqlite(&folder, &offset).await, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract_boxed_and_shared() {
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let boxed: Box<dyn InboxStore> = Box::new(sqlite(&folder, &offset).await);
    conformance::inbox(boxed, by(&offset)).await;
    let (folder, offset) = (tempfile::tempdir().unwrap(), ClockOffset::default());
    let shared: Arc<dyn InboxStore> = Arc::new(sqlite(&folder, &offset).await);
    conformance::inbox(shared, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_in_memory_keeps_the_contract() {
    let offset = ClockOffset::default();
    let store = SqliteStoreOptions::new().clock_offset(offset.clone()).connect("sqlite::memory:").await.unwrap();
    conformance::inbox(store, by(&offset)).await;
}

pub(crate) async fn postgres(
    options: PostgresStoreOptions,
    offset: &ClockOffset,
) -> (Arc<PostgresServer>, PostgresStore) {
    let server = PostgresServer::shared();
    let store = options.clock_offset(offset.clone()).connect(&server.database().await).await.unwrap();
    (server, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    let offset = ClockOffset::default();
    let (_server, store) = postgres(PostgresStore::options(), &offset).await;
    conformance::inbox(store, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_boxed_and_shared_and_by_other_names() {
    let (offset, long) = (ClockOffset::default(), "a".repeat(32));
    let options = PostgresStore::options().schema("hooks").unwrap().table_prefix("acme_").unwrap();
    let (_server, store) = postgres(options, &offset).await;
    let boxed: Box<dyn InboxStore> = Box::new(store);
    conformance::inbox(boxed, by(&offset)).await;
    let offset = ClockOffset::default();
    let options = PostgresStore::options().schema(&long).unwrap().table_prefix(&long).unwrap();
    let (_server, store) = postgres(options, &offset).await;
    let shared: Arc<dyn InboxStore> = Arc::new(store);
    conformance::inbox(shared, by(&offset)).await;
}

/// The pooler gives each transaction another connection, so statements and settings of a session would be missing
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_behind_a_transaction_pooler() {
    let (server, offset) = (PostgresServer::shared(), ClockOffset::default());
    let url = server.database().await;
    let (_pooler, port) = server.transaction_pooler();
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
    let options = PostgresStore::options().simple_queries().clock_offset(offset.clone());
    conformance::inbox(options.connect(&url).await.unwrap(), by(&offset)).await;
}

pub(crate) async fn redis(options: RedisStoreOptions, offset: &ClockOffset) -> (RedisServer, RedisStore) {
    let server = RedisServer::start();
    let store = options.clock_offset(offset.clone()).connect(&server.url()).await.unwrap();
    (server, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    let offset = ClockOffset::default();
    let (_server, store) = redis(RedisStore::options(), &offset).await;
    conformance::inbox(store, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract_boxed_and_shared_and_by_other_names() {
    let offset = ClockOffset::default();
    let (_server, store) = redis(RedisStore::options().key_prefix("acme_").unwrap(), &offset).await;
    let boxed: Box<dyn InboxStore> = Box::new(store);
    conformance::inbox(boxed, by(&offset)).await;
    let offset = ClockOffset::default();
    let (_server, store) = redis(RedisStore::options().key_prefix(&"a".repeat(32)).unwrap(), &offset).await;
    let shared: Arc<dyn InboxStore> = Arc::new(store);
    conformance::inbox(shared, by(&offset)).await;
}

/// A cluster refuses a script whose keys are in several slots, and one that touches a key that it has not named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract_in_a_cluster() {
    let (cluster, offset) = (Cluster::start().await, ClockOffset::default());
    let options = RedisStore::options().clock_offset(offset.clone());
    let store = options.connect_cluster([cluster.nodes[0].url().as_str()]).await.unwrap();
    conformance::inbox(store, by(&offset)).await;
}
