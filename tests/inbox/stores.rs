//! Every store keeps the contract, as the bare type, `Box<dyn _>` and `Arc<dyn _>`.

use std::{sync::Arc, time::Duration};

use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    inbox::InboxStore,
    store::{MemoryInbox, SqliteStore, sqlite::SqliteStoreOptions},
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
