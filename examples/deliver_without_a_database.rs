//! Run: cargo run --features send --example deliver_without_a_database
//!
//! Sends a webhook from a small application without a queue: signed, only to allowed addresses, and with four attempts
//! within 40 seconds. The receiver is in the same program, uses the crate's own layer, and fails the first time. With
//! `-- --serve [ADDRESS]` only the receiver keeps running; this request is then rejected with 401, since it is not
//! signed:
//!
//!     curl -i http://127.0.0.1:3000/hook -d '{"type":"order.completed","data":{"order":7}}'

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/server.rs"]
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, routing::post};
use serde::Deserialize;
use serde_json::json;
use server::{BoxError, Limits};
use tokio::net::TcpListener;
use tower_webhooks::{
    Retry, Secret, VerifiedEvent, WebhookLayer,
    send::{DeliverErrorKind, DestinationPolicy, GuardedClient, Message, Signer, Target, deliver},
};

/// The customer saw this secret once, when they registered their endpoint.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Deserialize)]
struct Order {
    order: u64,
}

/// The customer's application.
fn receiver() -> Result<Router, BoxError> {
    let calls = Arc::new(AtomicU32::new(0));
    let on_order = async move |event: VerifiedEvent<Order>| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(Retry::new()); // its database cannot be reached for a moment
        }
        println!("the customer was told of order {}", event.order);
        Ok(())
    };
    Ok(Router::new().route("/hook", post(on_order).layer(WebhookLayer::standard_webhooks(Secret::new(SECRET)?))))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}/hook; ctrl-c stops", listener.local_addr()?);
        server::serve(listener, receiver()?, Limits::default(), server::stop_signal()).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let server = tokio::spawn(server::serve(listener, receiver()?, Limits::default(), std::future::pending()));

    // By default deliveries only go to the public internet over https. This receiver is on this machine.
    assert!(DestinationPolicy::default().endpoint(&url).is_err());
    let policy = DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse()?)
        .allow_ports(1024..=65535)
        .insecure_plain_http();
    let client = GuardedClient::builder().policy(policy.clone()).build()?;

    let signer = Signer::standard_webhooks(Secret::new(SECRET)?)?;
    let customer = Target::new(policy.endpoint(&url)?, signer);
    let message = Message::new("order.completed", &json!({ "order": 7 }))?;

    let delivered = deliver(&client, &customer, &message).await?;
    for attempt in delivered.attempts() {
        println!("{:?} in {:?}", attempt.status(), attempt.duration());
    }
    assert_eq!(delivered.attempts().len(), 2);

    // A receiver with another secret rejects the request, and there is no further attempt.
    let stranger = Signer::standard_webhooks(Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?)?;
    let refused = deliver(&client, &Target::new(policy.endpoint(&url)?, stranger), &message).await.expect_err("401");
    println!("{refused}");
    assert_eq!(refused.kind(), DeliverErrorKind::Refused);

    server.abort();
    Ok(())
}
