//! Run: cargo run --features idempotency,send --example send_to_a_queue
//!
//! Puts signed deliveries on a queue instead of sending them by HTTP, with its own `Transport`. The outbox still
//! decides which delivery is sent when, signs each attempt, and retries those that the queue does not accept. The queue
//! is in this process; a queue on another server is used in the same way, and answers when it has stored the delivery.
//! There is no address to `curl`.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::{error::Error, time::Duration};

use http::{Request, StatusCode};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tower_webhooks::{
    BoxFuture, Provider, Scheme, Secret, Secrets,
    clock::{Clock, SystemClock},
    scheme::Verdict,
    send::{
        AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, DeliveryQuery, DeliveryState, DestinationPolicy,
        Dispatcher, EndpointResponse, Message, NewEndpoint, RetryPolicy, SealingKey, Transport,
    },
    store::MemoryOutbox,
};

/// Puts each attempt on a queue with room for a few.
struct Queued(mpsc::Sender<AttemptRequest>);

impl Transport for Queued {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(async move {
            let started = tokio::time::Instant::now();
            // The outbox retries a delivery that is not accepted. Deliveries arrive at least once, so readers compare
            // the ids.
            let accepted = self.0.try_send(request);
            match accepted {
                Ok(()) => AttemptResult::answered(EndpointResponse::new(StatusCode::ACCEPTED), started.elapsed()),
                Err(full) => {
                    // The error must not contain the request, which is the customers' data.
                    let error = AttemptError::new(AttemptErrorKind::Connect).with_source(full.to_string());
                    AttemptResult::failed(error, started.elapsed())
                }
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (sender, mut queue) = mpsc::channel(1);
    let webhooks = Dispatcher::builder(MemoryOutbox::new())
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
        .transport(Queued(sender), DestinationPolicy::default())
        .retry_policy(RetryPolicy::custom([Duration::from_millis(100); 20]))
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));

    // The host is the subject of the queue. It is not looked up, and no connection is made.
    let endpoint = NewEndpoint::new("https://orders.queue.example/")?.events(["order.*"]);
    let secret = Secret::new(webhooks.endpoints().create(endpoint).await?.reveal())?;
    for order in 1..=3 {
        webhooks.dispatch(Message::new("order.completed", &json!({ "order": order }))?.order_key("orders")).await?;
    }

    // The reader of the queue verifies like any receiver, and so slowly that the queue is full now and then.
    let scheme = Scheme::from(Provider::STANDARD_WEBHOOKS);
    for order in 1..=3 {
        let request = queue.recv().await.ok_or("the queue was closed")?;
        let (mut head, ()) = Request::post("/").body(())?.into_parts();
        head.headers = request.headers().clone();
        let verdict = scheme.verify(&head, request.body().clone(), &Secrets::new(secret.clone()), SystemClock.now())?;
        assert!(matches!(verdict, Verdict::Delivery(_)));
        let body: serde_json::Value = serde_json::from_slice(request.body())?;
        println!("{}: {}", request.url().authority(), body["data"]);
        assert_eq!(body["data"]["order"], order, "in the order of dispatch");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let delivered = DeliveryQuery::default().state(DeliveryState::Delivered);
    while webhooks.deliveries(None, delivered.clone()).await?.len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    _ = stop.send(());
    worker.await?;
    Ok(())
}
