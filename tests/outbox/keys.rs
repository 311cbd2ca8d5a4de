//! Order keys while dispatches, workers and people act at the same moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_webhooks::{
    send::{
        After, DeliveryQuery, DeliveryState, EndpointDraft, EndpointId, EndpointSettings, Fenced, Finish, LeaseRequest,
        LeaseToken, Message, OutboxEndpoints, OutboxLog, OutboxQueue, OutboxStore, Sealed, Style,
    },
    store::{MemoryOutbox, PostgresStore, SqliteStore},
};

use crate::support::{claims::counts, postgres_server::PostgresServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_key_one_is_sent_and_none_is_forgotten_in_memory() {
    one_is_sent_and_none_is_forgotten(MemoryOutbox::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_key_one_is_sent_and_none_is_forgotten_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", folder.path().display());
    one_is_sent_and_none_is_forgotten(SqliteStore::connect(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_key_one_is_sent_and_none_is_forgotten_in_postgres() {
    let server = PostgresServer::shared();
    let url = server.database().await;
    one_is_sent_and_none_is_forgotten(PostgresStore::options().max_connections(12).connect(&url).await.unwrap()).await;
}

/// Four tasks dispatch, four lease and finish, and one cancels pending deliveries. At the end no delivery waits for one
/// that has ended.
async fn one_is_sent_and_none_is_forgotten(store: impl OutboxStore) {
    let store = Arc::new(store);
    let sealed = Sealed::new("", &b"sealed"[..]);
    let settings = EndpointSettings::new("https://example.com/", vec!["*".into()], Style::StandardWebhooks, sealed);
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap();
    let each = counts(60, 2000);
    let sent = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..each {
                let message = Message::new("a", &number).unwrap().order_key(format!("key-{}", number % 3));
                store.dispatch(vec![message]).await.unwrap();
            }
        });
    }
    let people = store.clone();
    tasks.spawn(async move {
        for _ in 0..each / 4 {
            let pending = DeliveryQuery::default().state(DeliveryState::Pending);
            let pending = people.deliveries("".into(), pending, 5).await.unwrap();
            if let Some(one) = pending.last() {
                people.cancel(one.id).await.unwrap();
            }
        }
    });
    let mut workers = JoinSet::new();
    for worker in 0..4_u64 {
        let (store, sent) = (store.clone(), sent.clone());
        workers.spawn(async move {
            let until = Instant::now() + Duration::from_secs(300);
            let mut turn = worker;
            loop {
                let token = LeaseToken::random().unwrap();
                let request = LeaseRequest::new(token, Duration::from_secs(600), 4);
                // Others may have the lock.
                let leased = store.lease(request).await.map(|leases| leases.deliveries).unwrap_or_default();
                for one in &leased {
                    let key = one.message.order_key_name().unwrap().to_owned();
                    let beside = std::mem::replace(sent.lock().unwrap().entry(key).or_default(), 1);
                    assert_eq!(beside, 0, "two of a key are sent at once");
                }
                for one in &leased {
                    turn += 1;
                    tokio::task::yield_now().await;
                    sent.lock().unwrap().insert(one.message.order_key_name().unwrap().to_owned(), 0);
                    let after = match turn % 5 {
                        0 if one.attempt == 1 => After::Exhausted,
                        _ => After::Delivered,
                    };
                    let (fenced, _) = store.finish(one.id, token, Finish::new(after)).await.unwrap();
                    assert_eq!(fenced, Fenced::Applied);
                }
                if leased.is_empty() {
                    let waits = async |state| {
                        let query = DeliveryQuery::default().state(state);
                        !store.deliveries("".into(), query, 1).await.unwrap().is_empty()
                    };
                    let dispatched = sent.lock().unwrap().contains_key("all");
                    if dispatched && !waits(DeliveryState::Pending).await && !waits(DeliveryState::Sending).await {
                        return;
                    }
                    assert!(Instant::now() < until, "something waits for what has ended");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    tasks.join_all().await;
    sent.lock().unwrap().insert("all".into(), 0);
    workers.join_all().await;
}
