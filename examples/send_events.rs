//! Run: cargo run --features send,sqlite --example send_events
//!
//! Sends webhooks to registered endpoints, from a SQLite file that outlives the process. A customer registers an
//! endpoint for an older version of the API, which is then pinged. An event is dispatched; its first attempt fails, it
//! is retried, and the log shows both. The customer is in the same program, and verifies with the crate's own layer.
//! With `-- --serve [ADDRESS]` only the customer keeps running; this request is then rejected with 401, since it is not
//! signed:
//!
//!     curl -i http://127.0.0.1:3000/hook -d '{"type":"order.completed","data":{"order":7}}'

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/server.rs"]
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use serde::Deserialize;
use serde_json::json;
use server::{BoxError, Limits};
use tokio::{net::TcpListener, sync::oneshot};
use tower_webhooks::{
    EventRouter, Retry, Secret, VerifiedEvent, WebhookLayer,
    send::{
        ApiVersions, DeliveryQuery, DeliveryState, DestinationPolicy, Dispatcher, GuardedClient, Message, NewEndpoint,
        RateLimit, RetryPolicy, SealingKey,
    },
    store::SqliteStore,
};

#[derive(Deserialize)]
struct Order {
    order: u64,
}

/// The customer's application.
fn customer(secret: Secret) -> Router {
    let calls = Arc::new(AtomicU32::new(0));
    let on_order = async move |event: VerifiedEvent<Order>| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(Retry::new()); // its database cannot be reached for a moment
        }
        println!("the customer was told of order {}", event.order);
        Ok(())
    };
    // Event types without a handler, such as a ping, are answered with a success.
    let events = EventRouter::new().on("order.completed", on_order);
    Router::new().route("/hook", post(events).layer(WebhookLayer::standard_webhooks(secret)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}/hook; ctrl-c stops", listener.local_addr()?);
        server::serve(listener, customer(secret), Limits::default(), server::stop_signal()).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let server =
        tokio::spawn(server::serve(listener, customer(secret.clone()), Limits::default(), std::future::pending()));

    // The dispatcher. A real application reads its key with `SealingKey::from_env`, and needs neither `client`, which
    // allows deliveries to this machine, nor `retry_policy`, which makes the example quick.
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await?;
    let policy = DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse()?)
        .allow_ports(1024..=65535)
        .insecure_plain_http();
    let webhooks = Dispatcher::builder(store)
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
        .client(GuardedClient::builder().policy(policy).build()?)
        .retry_policy(RetryPolicy::custom([Duration::from_millis(100); 3]))
        .api_versions(
            // In the older version, orders had a number instead of an id.
            ApiVersions::newest("2026-06")?.older("2026-01", |_, payload| Ok(json!({ "order": payload["id"] })))?,
        )
        .on_attempt_failed(|attempt| println!("attempt {} failed: {:?}", attempt.attempt, attempt.result.status()))
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));

    // The customer registers an endpoint. Without `.secret(..)` a secret is generated, and `created.reveal()` shows it.
    let endpoint = NewEndpoint::new(&url)?.events(["order.*"]).secret(secret);
    let endpoint = endpoint.api_version("2026-01").rate_limit(RateLimit::per_second(50)?).label("region", "eu").ping();
    let created = webhooks.endpoints().create(endpoint).await?;
    println!("registered {}, and pinged it by {:?}", created.endpoint().id(), created.ping());

    // An event happens. When `dispatch` has returned, a crash cannot lose the message any more.
    let message = Message::new("order.completed", &json!({ "id": 7 }))?.version("2026-06").label("region", "eu");
    assert_eq!(webhooks.dispatch(message.clone()).await?.deliveries(), 1);
    assert!(!webhooks.dispatch(message).await?.is_new(), "the same message again changes nothing");
    let of_another_region =
        Message::new("order.completed", &json!({ "id": 8 }))?.version("2026-06").label("region", "us");
    assert_eq!(webhooks.dispatch(of_another_region).await?.deliveries(), 0);
    assert_eq!(webhooks.dispatch(Message::new("user.created", &json!({}))?).await?.deliveries(), 0);

    let delivery = loop {
        let delivery =
            webhooks.deliveries(None, DeliveryQuery::default().event_type("order.completed")).await?.remove(0);
        if delivery.state == DeliveryState::Delivered {
            break delivery;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let attempts = webhooks.attempts(delivery.id).await?;
    for attempt in &attempts {
        println!("{}: attempt {} was answered {:?}", delivery.id, attempt.attempt, attempt.status);
    }
    assert_eq!(attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), [Some(503), Some(200)]);

    // The worker completes the attempts in flight.
    _ = stop.send(());
    worker.await?;
    server.abort();
    Ok(())
}
