//! Handles every event once, however often its sender sends it.
//!
//! Run: cargo run --features sqlite --example process_once
//!
//! It keeps its claims in an SQLite file. With `--features sqlite,postgres,redis`, `DATABASE_URL=postgres://…` or
//! `REDIS_URL=redis://…` selects another store. While it runs, you could send it a request like this:
//!
//! curl -i http://127.0.0.1:3000/webhooks/github -H 'x-github-delivery: 1' -H 'x-hub-signature-256: sha256=…' -d '{}'
#![allow(clippy::print_stdout)] // An example prints its results.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use hmac::{Hmac, KeyInit, Mac};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_webhooks::{
    BoxError, Delivery, Discard, Secret, WebhookLayer,
    idempotency::{IdempotencyLayer, IdempotencyStore},
    store::SqliteStore,
};

/// What the handler has done, and how often it will still fail.
#[derive(Default)]
struct Shop {
    orders: AtomicU32,
    failures: AtomicU32,
}

/// An ordinary handler. It does not have to deal with duplicates, since they do not reach it.
async fn on_order(State(shop): State<Arc<Shop>>, delivery: Delivery) -> Result<StatusCode, Discard> {
    if delivery.event_type().is_some_and(|kind| *kind == "ping") {
        return Err(Discard::new("a ping orders nothing"));
    }
    let failing = shop.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if failing.is_ok() {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR);
    }
    shop.orders.fetch_add(1, Ordering::SeqCst);
    Ok(StatusCode::OK)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let store = store(&format!("sqlite://{}/webhooks.db", folder.path().display())).await?;
    let once = IdempotencyLayer::new(store);

    // In an application: `Secret::from_env("GITHUB_WEBHOOK_SECRET")?`.
    let layer = WebhookLayer::github(Secret::new(SECRET)?).with_idempotency(once.clone());
    let shop = Arc::new(Shop::default());
    let app = Router::new().route("/webhooks/github", post(on_order).layer(layer)).with_state(Arc::clone(&shop));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });

    // The rest plays the role of the sender. Each line has the id of the delivery, its event, the expected answer, and
    // the number of orders.
    let mut wrong = 0;
    let deliveries = [
        ("1", "order", "200", "", 1),
        ("1", "order", "200", "replayed", 1), // a retry: acknowledged, and not run again
        ("2", "order", "500", "", 1),         // the handler fails, so nothing is acknowledged …
        ("2", "order", "200", "", 2),         // … and the next duplicate runs at once
        ("3", "ping", "200", "", 2),          // discarded: done, for good
        ("3", "ping", "200", "replayed", 2),
    ];
    for (id, event, status, replayed, orders) in deliveries {
        if (id, status) == ("2", "500") {
            shop.failures.store(1, Ordering::SeqCst);
        }
        let answer = send(&address, id, event).await?;
        let is_replayed = if answer.contains("idempotent-replayed: true") { "replayed" } else { "" };
        let seen = (&answer[9..12], is_replayed, shop.orders.load(Ordering::SeqCst));
        println!("{id} {event:5} -> {} {:8} orders: {}", seen.0, seen.1, seen.2);
        wrong += u32::from(seen != (status, replayed, orders));
    }

    // Before the process ends, since handlers continue when their clients have disconnected.
    let unfinished = once.drain(std::time::Duration::from_secs(30)).await;
    if wrong + u32::try_from(unfinished)? > 0 { Err("it did not go as it should".into()) } else { Ok(()) }
}

/// The store that the environment names, otherwise the SQLite file.
async fn store(file: &str) -> Result<Box<dyn IdempotencyStore>, BoxError> {
    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return Ok(Box::new(tower_webhooks::store::PostgresStore::connect(&url).await?));
    }
    #[cfg(feature = "redis")]
    if let Ok(url) = std::env::var("REDIS_URL") {
        return Ok(Box::new(tower_webhooks::store::RedisStore::connect(&url).await?));
    }
    Ok(Box::new(SqliteStore::connect(file).await?))
}

const SECRET: &str = "It's a Secret to Everybody";

async fn send(address: &str, id: &str, event: &str) -> Result<String, BoxError> {
    let body = r#"{"order":1}"#;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(body.as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    // A new id for each run of this example, since the other stores outlive it.
    let id = format!("{}-{id}", std::process::id());
    let request = format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
         x-github-delivery: {id}\r\nx-github-event: {event}\r\nx-hub-signature-256: sha256={signature}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
