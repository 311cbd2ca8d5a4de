//! A real HTTP server and client on loopback, and deliveries as GitHub signs them.

use std::net::SocketAddr;

use axum::Router;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::Sha256;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) const SECRET: &str = "It's a Secret to Everybody";

/// A running server. Its connections end when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs") });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn is_replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }
}

/// A sender with a connection of its own.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("the server listens")
    }

    /// Connects to a server that may be killed meanwhile; `None` when it was.
    pub(crate) async fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(async move { _ = connection.await });
        Some(Self { sender, connection })
    }

    /// Sends a delivery. `None` when the connection ended without an answer.
    pub(crate) async fn try_send(&mut self, request: Request<Full<Bytes>>) -> Option<Answer> {
        self.sender.ready().await.ok()?;
        let (head, body) = self.sender.send_request(request).await.ok()?.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await.ok()?.to_bytes()).into_owned();
        Some(Answer { status: head.status, headers: head.headers, text })
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Sends one delivery on a connection of its own.
pub(crate) async fn send(address: SocketAddr, id: &str) -> Answer {
    Client::connect(address).await.send(delivery("/hook", id)).await
}

/// Opens a connection that speaks HTTP/2.
pub(crate) async fn connect_http2(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = handshake.expect("a connection is made");
    tokio::spawn(connection);
    sender
}

/// A true delivery: the same body each time, since GitHub's id is in a header.
pub(crate) fn delivery(path: &str, id: &str) -> Request<Full<Bytes>> {
    signed(path, id.as_bytes(), br#"{"action":"opened"}"#, SECRET)
}

pub(crate) fn signed(path: &str, id: &[u8], body: &'static [u8], secret: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "hooks.example.com")
        .header("x-github-delivery", http::HeaderValue::from_bytes(id).expect("an id that a header can hold"))
        .header("x-github-event", "issues")
        .header("x-hub-signature-256", signature(body, secret))
        .body(Full::new(Bytes::from_static(body)))
        .expect("a whole request")
}

pub(crate) fn signature(body: &[u8], secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}
