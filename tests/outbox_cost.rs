//! What the outbox costs when there is much of something: the tests that count, and those that measure ratios in one run. With
//! `TOWER_WEBHOOKS_LONG=1` they are of full size.
#![allow(clippy::unwrap_used)] // The helpers panic as the tests do.

use std::{any::Any, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::{task::JoinSet, time::Instant};
use tower_webhooks::{
    send::{Dispatched, EndpointDraft, EndpointId, EndpointSettings, Message, OutboxStore, Sealed, Style},
    store::PostgresStore,
    transaction::StoreTransaction,
};

use crate::support::{claims::counts, postgres_server::PostgresServer};

#[allow(dead_code)] // Each test binary takes what it needs.
mod support {
    pub(crate) mod claims;
    pub(crate) mod interleavings;
    pub(crate) mod postgres_server;
    pub(crate) mod process;
    pub(crate) mod proxy;
}

// Telling other processes

/// Commits that take 5 ms, as on a network's disk or with a synchronous replica. Where each of them notified, no two of them
/// would share a flush, and the ratio would be 0.15.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dispatches_with_and_without_endpoints_share_their_commits() {
    let server = PostgresServer::careful();
    let url = server.database().await;
    let slow = format!("{url}&options=-c%20commit_delay%3D5000%20-c%20commit_siblings%3D0");
    let store = PostgresStore::options().max_connections(20).connect(&slow).await.unwrap();
    register(&store, "acme").await;
    // Connections are opened and statements prepared.
    dispatches_a_second(&store, "nobody", 20).await;

    let each = counts(40, 400);
    let without = dispatches_a_second(&store, "nobody", each).await;
    let with = dispatches_a_second(&store, "acme", each).await;

    let least = if counts(0, 1) == 1 { 0.8 } else { 0.4 };
    println!("dispatches a second: {without:.0} without endpoints, {with:.0} with: {:.2}", with / without);
    assert!(with / without >= least, "{with:.0} a second with endpoints, {without:.0} without");
}

async fn dispatches_a_second(store: &PostgresStore, tenant: &'static str, each: u32) -> f64 {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        callers.spawn(async move {
            for _ in 0..each {
                store.dispatch(vec![message(tenant)]).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    f64::from(16 * each) / begun.elapsed().as_secs_f64()
}

/// The channel's name is found by what a listening worker does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatch_is_told_of_after_its_commit_and_many_together() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    let pool = PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let silent = PostgresStore::options().without_notify().connect(&url).await.unwrap();
    register(&store, "acme").await;
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen(&channel(&pool, &store).await).await.unwrap();

    // Nobody is told of what nobody wants, by a store that is to tell nobody, or by an application's transaction.
    store.dispatch(vec![message("nobody")]).await.unwrap();
    silent.dispatch(vec![message("acme")]).await.unwrap();
    silent.notify();
    let mut transaction = pool.begin().await.unwrap();
    let connection: &mut (dyn Any + Send) = transaction.connection();
    store.dispatch_in(connection, vec![message("acme")]).await.unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("SELECT pg_notify($1, 'marked')").bind(channel(&pool, &store).await).execute(&pool).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
    assert_eq!(first.payload(), "marked");

    // One commit after the other, and far fewer words of it.
    let all = 300;
    let begun = Instant::now();
    for _ in 0..all {
        assert_eq!(store.dispatch(vec![message("acme")]).await.unwrap(), [Dispatched::Stored { deliveries: 1 }]);
    }
    let most = begun.elapsed().as_millis() / 5 + 2;
    tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
    let mut heard = 1;
    while tokio::time::timeout(Duration::from_millis(500), listener.recv()).await.is_ok() {
        heard += 1;
    }
    assert!(heard < all && heard <= most, "{heard} of {all}, in a time for {most}");
}

/// The name is the business of the store, so it is asked what it listens to.
async fn channel(pool: &PgPool, store: &PostgresStore) -> String {
    let (store, asked) = (store.clone(), pool.clone());
    let listening = tokio::spawn(async move { store.listen(Box::new(|| {})).await });
    let until = Instant::now() + Duration::from_secs(60);
    let name = loop {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' \
             AND state = 'idle' ORDER BY state_change DESC LIMIT 1",
        )
        .fetch_optional(&asked)
        .await
        .unwrap();
        if let Some(query) = found {
            break query.trim_start_matches("LISTEN").trim().trim_matches('"').to_owned();
        }
        assert!(Instant::now() < until, "nobody listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    listening.abort();
    name
}

// Helpers

async fn register(store: &impl OutboxStore, tenant: &str) -> EndpointId {
    let settings = EndpointSettings::new(
        "https://example.com/hook",
        vec!["*".into()],
        Style::StandardWebhooks,
        Sealed::new("key", &b"sealed"[..]),
    );
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap().id
}

fn message(tenant: &str) -> Message {
    Message::new("order.completed", &7).unwrap().tenant(tenant)
}
