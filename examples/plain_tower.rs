//! Run: cargo run --example plain_tower
//!
//! The layer in a tower stack on hyper, without axum: around any service that takes a request with its whole body. With
//! `-- --serve [ADDRESS]` it keeps running. This request is then accepted at any time, since GitHub does not sign a
//! timestamp:
//!
//!     curl -i http://127.0.0.1:3000 -d 'Hello, World!' \
//!       -H 'x-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/client.rs"]
mod client;
#[path = "support/server.rs"]
mod server;
#[path = "support/sign.rs"]
mod sign;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use server::{BoxError, Limits};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_http::timeout::TimeoutLayer;
use tower_webhooks::{Secret, WebhookLayer, verify::verified_delivery};

const SECRET: &str = "It's a Secret to Everybody";

/// The inner service: it only runs for verified requests, and the body is complete.
async fn handle(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    let text = match verified_delivery(&head.extensions) {
        Some(delivery) => format!("{} bytes of {}, id {:?}", body.len(), delivery.provider(), delivery.id()),
        None => "nobody verified this".to_owned(),
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
        // The innermost layer: it sees the bytes as received.
        .layer(WebhookLayer::github(Secret::new(SECRET)?))
        .service(service_fn(handle));

    if let Some(address) = server::serve_address() {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}; ctrl-c stops", listener.local_addr()?);
        server::serve(listener, app, Limits::default(), server::stop_signal()).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(server::serve(listener, app, Limits::default(), std::future::pending()));

    for (body, expected) in [("Hello, World!", StatusCode::OK), ("Hello, World?", StatusCode::UNAUTHORIZED)] {
        let headers =
            [("x-hub-signature-256", sign::github(SECRET, "Hello, World!")), ("x-github-delivery", "d-1".to_owned())];
        let (status, answer) = client::post(address, "/", &headers, body).await?;
        println!("{status}: {answer}");
        assert_eq!(status, expected);
    }

    server.abort();
    Ok(())
}
