//! Verified events are passed on to NATS JetStream and handled from there, by the same handlers. Its server is killed in the middle.
//!
//! Run: cargo run --features nats --example jetstream
//!
//! It starts a NATS server of its own, from the program that is installed. While its receiver runs, it is what you would reach by
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-github-event: order' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};
use tower_webhooks::{
    BoxError, Claim, Delivery, EventRouter, Secret, WebhookLayer,
    inbox::{InboxRetries, SealingKey},
    sink::{HandOff, SinkWorker, nats::JetStream},
    store::MemoryStore,
};

#[path = "support/client.rs"]
mod client;
#[allow(dead_code)] // It belongs to the tests.
#[path = "../tests/support/nats_server.rs"]
mod nats_server;
#[allow(dead_code)]
#[path = "../tests/support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

type Paid = Arc<Mutex<BTreeSet<String>>>;

/// The same handler would run inline. Its first attempt at each third order fails.
async fn pay(State(paid): State<Paid>, claim: Claim, delivery: Delivery) -> StatusCode {
    let order = delivery.id().map(ToString::to_string).unwrap_or_default();
    if claim.attempt() == 1 && order.ends_with('3') {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    // An event may be worked twice, so the effect is one that can be repeated: a set, a row with a unique key.
    paid.lock().expect("no thread has panicked").insert(order);
    StatusCode::OK
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut nats = nats_server::NatsServer::start();
    let queue = JetStream::options().create().connect(&nats.url()).await?;
    // In an application: `SealingKey::from_env("WEBHOOKS_KEY")?`. Whoever can write into the stream cannot make events then.
    let key = SealingKey::from_bytes([7; 32])?;

    // The receiver. The record in front of the queue remembers for longer than the stream does; in an application it is a store on disk.
    let layer = WebhookLayer::github(Secret::new(SECRET)?).with_idempotency(MemoryStore::new());
    let hand_off = HandOff::new(queue.clone()).with_sealing_key(key.clone());
    let app = Router::new().route_service("/webhooks/github", hand_off.behind(layer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });

    for order in 1..=10 {
        assert_eq!(send(&address, order).await?, StatusCode::ACCEPTED);
    }
    // The sender repeats one of them. It is the same event.
    assert!(send(&address, 10).await?.is_success());
    println!("10 orders are answered with 202");

    nats.signal("KILL");
    nats.stop();
    assert_eq!(send(&address, 11).await?, StatusCode::SERVICE_UNAVAILABLE);
    println!("the NATS server is killed; its next order is answered with 503, and its sender keeps it");
    nats.restart();
    while send(&address, 11).await? != StatusCode::ACCEPTED {
        sleep(Duration::from_millis(100)).await;
    }

    // The worker: here, or in other processes.
    let paid = Paid::default();
    let events = EventRouter::new().on("order", pay).with_state(paid.clone());
    let worker = SinkWorker::new(queue, events)
        .with_sealing_key(key)
        .with_retries(InboxRetries::new(12).waits(Duration::from_millis(100), Duration::from_secs(1)));
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async { _ = stopped.await }));
    let all: BTreeSet<String> = (1..=11).map(|order: u32| order.to_string()).collect();
    while *paid.lock().expect("no thread has panicked") != all {
        sleep(Duration::from_millis(50)).await;
    }
    drop(stop);
    worker.await?;
    println!("the server is started again, and all 11 are paid. Nothing is lost.");
    Ok(())
}

const SECRET: &str = "It's a Secret to Everybody";

async fn send(address: &str, order: u32) -> Result<StatusCode, BoxError> {
    let headers = [
        ("x-github-delivery", order.to_string()),
        ("x-github-event", "order".to_owned()),
        ("x-hub-signature-256", sign::github(SECRET, "{}")),
    ];
    Ok(client::post(address.parse()?, "/webhooks/github", &headers, "{}").await?.0)
}
