//! Run: cargo run --example custom_scheme
//!
//! Receives from a sender that is not built in, whose scheme is declared in one expression, and from a provider whose
//! name is in a configuration. With `-- --serve [ADDRESS]` it keeps running; this request is then rejected with 401,
//! since it is not signed:
//!
//!     curl -i http://127.0.0.1:3000/webhooks/acme -d '{"id":"m-1","kind":"order.completed","data":{"order":7}}'

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/client.rs"]
mod client;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

use axum::{Router, routing::post};
use serde::Deserialize;
use server::{BoxError, Limits};
use tokio::net::TcpListener;
use tower_webhooks::{
    Provider, Scheme, Secret, VerifiedEvent, WebhookLayer,
    clock::{Clock, SystemClock},
    scheme::{Field, SchemeBuilder},
};

/// Acme's documentation says:
///
/// > Each request has a header `X-Acme-Signature: t=<seconds>,v1=<hex>`, where `v1` is the HMAC-SHA-256 of the seconds, a dot
/// > and the body, under the key of your endpoint. While you change keys there are two `v1`.
fn acme() -> SchemeBuilder {
    Scheme::hmac_sha256()
        .name("acme")
        .header("x-acme-signature")
        .items(",")
        .pairs("=")
        .key("v1")
        .hex()
        .timestamp(Field::param("t"))
        .signs("{timestamp}.{body}")
        .id(Field::json("/id"))
        .event_type(Field::json("/kind"))
        .payload("/data")
}

#[derive(Deserialize)]
struct Order {
    order: u64,
}

async fn on_order(event: VerifiedEvent<Order>) -> String {
    let kind = event.delivery().event_type().map_or("?", |kind| kind.as_str());
    format!("{}: {kind} {}", event.delivery().provider(), event.order)
}

const ACME: &str = "the key of our endpoint at Acme";
const CONFIGURED: &str = "the key that the configuration holds";

fn app() -> Result<Router, BoxError> {
    // A name as in a configuration file; case, `-` and `_` do not matter.
    let provider: Provider = "GitHub".parse()?;
    Ok(Router::new()
        .route("/webhooks/acme", post(on_order).layer(WebhookLayer::new(acme(), Secret::new(ACME)?)))
        // `try_new` returns an error for an invalid configuration; `new` panics at start.
        .route("/webhooks/it", post(on_order).layer(WebhookLayer::try_new(provider, Secret::new(CONFIGURED)?)?)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}/webhooks/acme; ctrl-c stops", listener.local_addr()?);
        server::serve(listener, app()?, Limits::default(), server::stop_signal()).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(server::serve(listener, app()?, Limits::default(), std::future::pending()));

    let body = r#"{"id":"m-1","kind":"order.completed","data":{"order":7}}"#;
    let seconds = sign::unix_seconds(SystemClock.now());
    let right = sign::hmac_sha256_hex(ACME, &format!("{seconds}.{body}"));
    let wrong = sign::hmac_sha256_hex("the key of another endpoint", &format!("{seconds}.{body}"));

    // One of two signatures is enough, as during a change of keys.
    for (signature, expected) in [
        (format!("t={seconds},v1={right}"), "acme: order.completed 7"),
        (format!("t={seconds},v1={wrong},v1={right}"), "acme: order.completed 7"),
        (format!("t={seconds},v1={wrong}"), r#"{"error":"invalid_signature"}"#),
        (format!("t={},v1={right}", seconds - 1), r#"{"error":"invalid_signature"}"#),
    ] {
        let (status, answer) =
            client::post(address, "/webhooks/acme", &[("x-acme-signature", signature)], body).await?;
        println!("{status}: {answer}");
        assert_eq!(answer, expected);
    }

    let body = r#"{"order":8}"#;
    let headers = [("x-hub-signature-256", sign::github(CONFIGURED, body)), ("x-github-event", "order".to_owned())];
    let (status, answer) = client::post(address, "/webhooks/it", &headers, body).await?;
    println!("{status}: {answer}");
    assert_eq!(answer, "github: order 8");

    server.abort();
    Ok(())
}
