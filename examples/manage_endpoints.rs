//! Run: cargo run --features api,sqlite --example manage_endpoints
//!
//! Serves the management API: a customer registers an endpoint over REST, and an operator dispatches an event about an
//! order to it. The example plays both roles and ends. With `-- --serve [ADDRESS]` the API keeps running; then try
//!
//!     curl -i http://127.0.0.1:3000/api/webhooks/endpoints -H 'Authorization: Bearer key-of-acme' \
//!          -H 'Content-Type: application/json' -d '{"url":"https://example.com/hook","events":["order.*"]}'
//!     curl http://127.0.0.1:3000/api/webhooks/openapi.json

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/server.rs"]
mod server;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{Request, StatusCode, header, request::Parts},
    routing::post,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::{BoxError, Limits};
use tokio::net::{TcpListener, TcpStream};
use tower_webhooks::{
    Secret, VerifiedEvent, WebhookLayer,
    api::{Access, Api},
    send::{DestinationPolicy, Dispatcher, GuardedClient, SealingKey},
    store::SqliteStore,
};

/// Identifies the caller. A real application looks up a key by its hash, or reads a session.
async fn authorize(head: Parts) -> Result<Access, StatusCode> {
    match head.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) {
        Some(b"Bearer key-of-acme") => Ok(Access::owner("acme")),
        Some(b"Bearer key-of-the-operator") => Ok(Access::operator()),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.path().display())).await?;

    // A real application reads its key with `SealingKey::from_env`, and does not allow deliveries to its own machine.
    let policy = DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse()?)
        .allow_ports(1024..=65535)
        .insecure_plain_http();
    let webhooks = Dispatcher::builder(store.clone())
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=")?)
        .client(GuardedClient::builder().policy(policy).build()?)
        .build()?;
    let worker = tokio::spawn(webhooks.worker().run(std::future::pending()));
    let api = Api::new(webhooks, authorize).with_idempotency(store).router();
    let app: Router = Router::new().nest("/api/webhooks", api);

    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}/api/webhooks; ctrl-c stops", listener.local_addr()?);
        server::serve(listener, app, Limits::default(), server::stop_signal()).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let served = tokio::spawn(server::serve(listener, app, Limits::default(), std::future::pending()));

    // The customer registers an endpoint, and sees its secret once.
    let customer = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", customer.local_addr()?);
    let wanted = json!({ "url": url, "events": ["order.*"], "description": "our order system" });
    let (status, endpoint) = call(address, "acme", "POST", "/endpoints", Some(&wanted)).await?;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    println!("registered {}", endpoint["id"]);
    let secret = Secret::new(endpoint["secret"].as_str().unwrap_or_default())?;
    let on_order = async |event: VerifiedEvent<Value>| println!("the customer was told of order {}", event["order"]);
    let hook = Router::new().route("/hook", post(on_order).layer(WebhookLayer::standard_webhooks(secret)));
    let received = tokio::spawn(server::serve(customer, hook, Limits::default(), std::future::pending()));

    // The response to an invalid request explains the mistake, and nothing is changed.
    let mistake = json!({ "url": url, "events": ["order completed"] });
    let (status, problem) = call(address, "acme", "POST", "/endpoints", Some(&mistake)).await?;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("#/events/0")));
    println!("a mistake: {}", problem["errors"][0]);

    // The operator dispatches an event for the tenant.
    let order = json!({ "type": "order.completed", "data": { "order": 7 }, "id": "order-7-completed" });
    let (status, sent) = call(address, "the-operator", "POST", "/messages?tenant=acme", Some(&order)).await?;
    assert_eq!((status, &sent["deliveries"]), (StatusCode::ACCEPTED, &json!(1)), "{sent}");

    // The customer sees the state of the delivery.
    let delivery = loop {
        let (_, page) = call(address, "acme", "GET", "/deliveries?state=delivered", None).await?;
        match page["data"].get(0) {
            Some(delivery) => break delivery.clone(),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let attempts = format!("/deliveries/{}/attempts", delivery["id"].as_str().unwrap_or_default());
    let (_, attempts) = call(address, "acme", "GET", &attempts, None).await?;
    assert_eq!(attempts["data"][0]["status"], 200, "{attempts}");
    println!("{} was answered with {}", delivery["id"], attempts["data"][0]["status"]);

    for task in [served, received] {
        task.abort();
    }
    worker.abort();
    Ok(())
}

/// Calls the API on a new connection.
async fn call(
    address: SocketAddr,
    who: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), BoxError> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/webhooks{path}"))
        .header(header::HOST, address.to_string())
        .header(header::AUTHORIZATION, format!("Bearer key-of-{who}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, answer) = sender.send_request(request).await?.into_parts();
    Ok((head.status, serde_json::from_slice(&answer.collect().await?.to_bytes())?))
}
