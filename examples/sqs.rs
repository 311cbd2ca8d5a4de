//! Verified events are passed on to Amazon SQS and handled from there, by the same handlers, those of one customer in their order.
//!
//! Run: cargo run --features sqs --example sqs
//!
//! It starts a server that behaves like SQS, which `tests/run.sh --interop` installs. While its receiver runs, it is what you would reach by
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-github-event: order' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // It shows what it does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};
use tower_webhooks::{
    BoxError, Claim, EventRouter, Secret, VerifiedEvent, WebhookLayer,
    inbox::InboxRetries,
    sink::{HandOff, SinkWorker, sqs::Sqs},
    store::MemoryStore,
};

#[path = "support/client.rs"]
mod client;
#[allow(dead_code)] // It belongs to the tests.
#[path = "../tests/support/moto_server.rs"]
mod moto_server;
#[allow(dead_code)]
#[path = "../tests/support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

#[derive(serde::Deserialize)]
struct Order {
    customer: String,
    number: u32,
}

type Paid = Arc<Mutex<Vec<(String, u32)>>>;

/// The same handler would run inline. The first order of a customer fails at first, and the others of that customer wait for it.
async fn pay(State(paid): State<Paid>, claim: Claim, order: VerifiedEvent<Order>) -> StatusCode {
    if claim.attempt() == 1 && order.number == 1 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    paid.lock().expect("no thread has panicked").push((order.customer.clone(), order.number));
    StatusCode::OK
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let sqs = moto_server::MotoServer::start();
    let (url, dead) = (sqs.queue("orders.fifo", 262_144).await, sqs.queue("orders-dead.fifo", 262_144).await);
    // In an application: `aws_sdk_sqs::Client::new(&aws_config::load_from_env().await)`.
    let queue = Sqs::open(sqs.client(), url, dead).await?;

    // The receiver. SQS remembers ids for five minutes; the record in front for as long as you say. In an application it is a store on disk.
    let layer = WebhookLayer::github(Secret::new(SECRET)?).with_idempotency(MemoryStore::new());
    let hand_off = HandOff::new(queue.clone()).with_order_key("/customer");
    let app = Router::new().route_service("/webhooks/github", hand_off.behind(layer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });

    for (customer, number) in [("ann", 1), ("ann", 2), ("ann", 3), ("bob", 1), ("bob", 2)] {
        let answer = send(&address, customer, number).await?;
        assert_eq!(answer, StatusCode::ACCEPTED);
    }
    // The sender repeats one of them. It is the same event.
    assert!(send(&address, "bob", 2).await?.is_success());
    let large = send(&address, &"x".repeat(300_000), 1).await?;
    assert_eq!(large, StatusCode::PAYLOAD_TOO_LARGE, "the queue would not take it");
    println!("5 orders are answered with 202, and one that is too large for the queue with 413");

    // The worker: here, or in other processes.
    let paid = Paid::default();
    let events = EventRouter::new().on("order", pay).with_state(paid.clone());
    let retries = InboxRetries::new(12).waits(Duration::from_millis(100), Duration::from_secs(1));
    let worker = SinkWorker::new(queue, events).with_retries(retries);
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async { _ = stopped.await }));
    while paid.lock().expect("no thread has panicked").len() < 5 {
        sleep(Duration::from_millis(50)).await;
    }
    drop(stop);
    worker.await?;

    let paid = paid.lock().expect("no thread has panicked").clone();
    let of =
        |customer: &str| paid.iter().filter(|(of, _)| of == customer).map(|(_, number)| *number).collect::<Vec<_>>();
    assert_eq!((of("ann"), of("bob")), (vec![1, 2, 3], vec![1, 2]));
    println!("all 5 are paid, those of each customer in their order");
    Ok(())
}

const SECRET: &str = "It's a Secret to Everybody";

async fn send(address: &str, customer: &str, number: u32) -> Result<StatusCode, BoxError> {
    let body = format!(r#"{{"customer":"{customer}","number":{number}}}"#);
    let headers = [
        ("x-github-delivery", format!("{}-{number}", &customer[..3])),
        ("x-github-event", "order".to_owned()),
        ("x-hub-signature-256", sign::github(SECRET, &body)),
    ];
    Ok(client::post(address.parse()?, "/webhooks/github", &headers, &body).await?.0)
}
