//! The outbox of `PostgresStore`, against real servers that the tests start.
#![allow(clippy::unwrap_used)] // The helpers panic as the tests do.

use std::{sync::Arc, time::Duration};

use tower_webhooks::{
    BoxFuture,
    clock::ClockOffset,
    conformance,
    send::OutboxStore,
    store::postgres::{PostgresStore, PostgresStoreOptions},
};

use crate::support::postgres_server::PostgresServer;

#[allow(dead_code)] // Each test binary takes what it needs.
mod support {
    pub(crate) mod postgres_server;
    pub(crate) mod process;
    pub(crate) mod proxy;
}

// The contract

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    for options in [PostgresStore::options(), PostgresStore::options().simple_queries()] {
        let (_server, store, offset) = store_with(options).await;

        conformance::outbox(store, by(&offset)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_boxed_store_in_a_schema_of_its_own() {
    let options = PostgresStore::options().schema("hooks").unwrap().table_prefix("acme_").unwrap();
    let (_server, store, offset) = store_with(options).await;
    let store: Box<dyn OutboxStore> = Box::new(store);

    conformance::outbox(store, by(&offset)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_as_a_shared_store_with_the_longest_names() {
    let long = "a".repeat(32);
    let options = PostgresStore::options().schema(&long).unwrap().table_prefix(&long).unwrap();
    let (_server, store, offset) = store_with(options).await;
    let store: Arc<dyn OutboxStore> = Arc::new(store);

    conformance::outbox(store, by(&offset)).await;
}

// Helpers

async fn store_with(options: PostgresStoreOptions) -> (Arc<PostgresServer>, PostgresStore, ClockOffset) {
    let server = PostgresServer::shared();
    let offset = ClockOffset::default();
    let store = options.clock_offset(offset.clone()).connect(&server.database().await).await.unwrap();
    (server, store, offset)
}

fn by(offset: &ClockOffset) -> impl Fn(Duration) -> BoxFuture<'static, ()> + use<'_> {
    |by| {
        offset.advance(by);
        Box::pin(std::future::ready(()))
    }
}
