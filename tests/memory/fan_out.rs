//! A message for thousands of endpoints is one write and one copy.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::time::sleep;
use tower_webhooks::{
    BoxFuture,
    send::{AttemptRequest, AttemptResult, EndpointResponse, Message, Quotas, Transport},
};

use crate::support::outbox::{Working, long, loopback, open, quick, register, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_thousands_is_one_write_and_one_copy() {
    const PAYLOAD: usize = 200 * 1024;
    let endpoints = if long() { 10_000 } else { 300 };
    let folder = tempfile::tempdir().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let transport = Parked { done: done.clone() };
    let webhooks = quick(open(&format!("sqlite://{}/outbox.db", folder.path().display())).await)
        .transport(transport, loopback())
        .quotas(Quotas::default().endpoints(10_000))
        .build()
        .unwrap();
    for _ in 0..endpoints {
        register(&webhooks, "http://127.0.0.1:9009/hook").await;
    }
    let message = Message::new("order.completed", &"x".repeat(PAYLOAD)).unwrap();

    let receipt = webhooks.dispatch(message).await.unwrap();
    let before = resident_bytes();
    let worker = Working::start(&webhooks);
    let most = Arc::new(AtomicUsize::new(0));
    until("all deliveries", async || {
        most.fetch_max(resident_bytes(), SeqCst);
        done.load(SeqCst) == endpoints
    })
    .await;
    worker.stop().await;

    assert_eq!(receipt.deliveries() as usize, endpoints);
    let grown = most.load(SeqCst).saturating_sub(before);
    println!("{endpoints} endpoints: {} KiB more memory at most", grown / 1024);
    // A copy for each endpoint would be 58 MiB here and 2 GiB in the long run. Other tests of this process take some as well, and
    // so do the keys of the endpoints; that what is in flight is one body, tests/outbox/deliveries.rs shows.
    assert!(grown < 48 * 1024 * 1024, "{grown} bytes for {endpoints} endpoints");
}

/// A slow transport that holds its requests.
struct Parked {
    done: Arc<AtomicUsize>,
}

impl Transport for Parked {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            drop(request);
            self.done.fetch_add(1, SeqCst);
            AttemptResult::answered(EndpointResponse::new(StatusCode::NO_CONTENT), Duration::from_millis(50))
        })
    }
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
