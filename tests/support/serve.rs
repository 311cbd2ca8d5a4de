//! A real server on loopback, and clients that send what no library would.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing::any};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_webhooks::WebhookLayer;

use super::sign::{Line, Sender};

/// How long anything may take before a test says that it hangs. It measures nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A body deadline that no test reaches, so an answer is never caused by it.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// Waits for something that must come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

/// Whether the long runs are wanted.
pub(crate) fn long() -> bool {
    std::env::var_os("TOWER_WEBHOOKS_LONG").is_some_and(|value| value == "1")
}

// --- The server ---------------------------------------------------------------------------------------------------------

/// A server as an application should set it up: the head of a request has a deadline, a panic is an answer, and it ends when
/// it is told to. It ends with the test, too.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        Self::start_with(router, Duration::from_secs(10)).await
    }

    pub(crate) async fn start_with(router: Router, header_timeout: Duration) -> Self {
        let service = ServiceBuilder::new().layer(CatchPanicLayer::new()).service(router);
        Self::serve(service, header_timeout).await
    }

    /// Serves any tower service.
    pub(crate) async fn serve<S, B>(service: S, header_timeout: Duration) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener has an address");
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let graceful = GracefulShutdown::new();
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => continue,
                    },
                    _ = &mut stopped => break,
                };
                let begun = Arc::new(AtomicBool::new(false));
                let service = ServiceBuilder::new()
                    .map_request({
                        let begun = Arc::clone(&begun);
                        move |request| {
                            begun.store(true, Ordering::Relaxed);
                            request
                        }
                    })
                    .service(service.clone());
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
                builder.http2().timer(TokioTimer::new());
                let connection =
                    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    // The header timeout begins once the protocol is known: a connection that does not say so much as
                    // that needs a deadline of its own.
                    let silent = async {
                        sleep(header_timeout).await;
                        if begun.load(Ordering::Relaxed) {
                            std::future::pending::<()>().await;
                        }
                    };
                    tokio::select! {
                        _ = connection => {}
                        () = silent => {}
                    }
                });
            }
            drop(listener);
            graceful.shutdown().await;
        });
        Self { address, stop: Some(stop), task }
    }

    /// Stops accepting, lets what runs end, and waits for it.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        soon("the server's end", &mut self.task).await.expect("the server does not panic");
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Sends one request on its own connection.
    pub(crate) async fn send(&self, request: &[u8]) -> Option<Answer> {
        let mut raw = self.connect().await;
        raw.send(request).await;
        raw.answer().await
    }

    /// Sends one request over HTTP/2, and gives its answer.
    pub(crate) async fn send_h2(&self, request: Request<Full<Bytes>>) -> Answer {
        let mut client = self.h2::<Full<Bytes>>().await;
        soon("an answer over HTTP/2", async {
            let response = client.send_request(request).await.expect("there is an answer");
            Answer::from_response(response).await
        })
        .await
    }

    pub(crate) async fn h2<B>(&self) -> hyper::client::conn::http2::SendRequest<B>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let stream = TcpStream::connect(self.address).await.expect("the server accepts");
        let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// --- The clients --------------------------------------------------------------------------------------------------------

/// A connection that carries whatever bytes it is given.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is text")
    }

    pub(crate) async fn from_response<B>(response: Response<B>) -> Self
    where
        B: Body<Error: std::fmt::Debug>,
    {
        let (parts, body) = response.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = body.collect().await.expect("the answer is whole").to_bytes().to_vec();
        Self { status: parts.status.as_u16(), headers, body }
    }
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("the server accepts")
    }

    pub(crate) async fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends bytes. A closed connection is noticed only when the answer is read.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = soon("room to write", self.stream.write_all(bytes)).await;
    }

    /// Sends bytes, and returns whether the peer still accepts them.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        soon("room to write", self.stream.write_all(bytes)).await.is_ok()
    }

    /// Is ready when something can be read, or the connection has ended.
    pub(crate) async fn readable(&self) {
        let _ = self.stream.readable().await;
    }

    /// Says that nothing more comes, and still listens.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Closes with a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// The next answer; `None` when the connection ends before one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        soon("an answer", self.read_answer(true)).await
    }

    /// The next answer; `None` also when there is none in this time.
    pub(crate) async fn answer_within(&mut self, time: Duration) -> Option<Answer> {
        timeout(time, self.read_answer(true)).await.ok()?
    }

    /// The next answer to a `HEAD`, which has no body whatever its headers say.
    pub(crate) async fn answer_to_head(&mut self) -> Option<Answer> {
        soon("an answer", self.read_answer(false)).await
    }

    async fn read_answer(&mut self, has_body: bool) -> Option<Answer> {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at,
                None if self.more().await => {}
                None => return None,
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while has_body && self.read.len() < length {
            if !self.more().await {
                return None;
            }
        }
        if has_body {
            answer.body = self.read.drain(..length).collect();
        }
        Some(answer)
    }

    /// Whether the peer closes, or resets, without another answer.
    pub(crate) async fn is_closed(&mut self) -> bool {
        soon("the connection's end", async {
            while self.more().await {}
            self.read.is_empty()
        })
        .await
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.read.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }
}

/// The head of a request, with exactly these headers.
pub(crate) fn head(method: &str, target: &str, headers: &[Line]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: hooks.test\r\n").into_bytes();
    for (name, value) in headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A whole request with its length.
pub(crate) fn request(method: &str, target: &str, headers: &[Line], body: &[u8]) -> Vec<u8> {
    let mut headers = headers.to_vec();
    headers.push(("content-length".to_owned(), body.len().to_string().into()));
    let mut bytes = head(method, target, &headers);
    bytes.extend_from_slice(body);
    bytes
}

/// The same for HTTP/2.
pub(crate) fn request_h2(method: &str, uri: &str, headers: &[Line], body: &[u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name.to_ascii_lowercase(), value.as_slice());
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).expect("the request is one")
}

// --- A receiver under attack --------------------------------------------------------------------------------------------

/// The one text that every authentication failure is answered with.
pub(crate) const REFUSAL: &str = r#"{"error":"invalid_signature"}"#;

/// A server with one route, `/hook`, behind a layer. The handler answers every method with the body that it saw.
pub(crate) struct Receiver {
    pub(crate) server: Server,
    pub(crate) sender: Sender,
    runs: Arc<AtomicUsize>,
}

impl Receiver {
    pub(crate) async fn new(sender: Sender) -> Self {
        Self::with(sender, |layer| layer).await
    }

    pub(crate) async fn with(sender: Sender, set: impl FnOnce(WebhookLayer) -> WebhookLayer) -> Self {
        Self::behind(sender, set(sender.layer().with_body_timeout(NEVER))).await
    }

    /// A receiver behind any layer. `sender` signs the good requests of [`finish`](Self::finish).
    pub(crate) async fn behind(sender: Sender, layer: WebhookLayer) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let handler = {
            let runs = Arc::clone(&runs);
            move |body: Bytes| {
                runs.fetch_add(1, Ordering::SeqCst);
                async move { body }
            }
        };
        let router = Router::new().route("/hook", any(handler).layer(layer));
        Self { server: Server::start(router).await, sender, runs }
    }

    /// How often the handler ran.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) async fn post(&self, headers: &[Line], body: &[u8]) -> Answer {
        let answer = self.server.send(&request("POST", "/hook", headers, body)).await;
        answer.expect("there is an answer")
    }

    /// Sends a head that declares a body, and no body, so that the answer depends only on the head.
    pub(crate) async fn post_head(&self, headers: &[Line]) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("content-length".to_owned(), b"1000".to_vec()));
        self.server.send(&head("POST", "/hook", &headers)).await.expect("there is an answer")
    }

    /// Asserts that a request is refused like every other that fails authentication.
    pub(crate) async fn refuses(&self, headers: &[Line], body: &[u8]) {
        let before = self.runs();
        let answer = self.post(headers, body).await;
        self.assert_refusal(&answer, headers);
        assert_eq!(self.runs(), before, "the handler ran for {}", shown(headers));
    }

    /// Asserts the same for a request whose body is never sent.
    pub(crate) async fn refuses_early(&self, headers: &[Line]) {
        let before = self.runs();
        let answer = self.post_head(headers).await;
        self.assert_refusal(&answer, headers);
        assert_eq!(self.runs(), before, "the handler ran for {}", shown(headers));
    }

    pub(crate) async fn accepts(&self, headers: &[Line], body: &[u8]) {
        let before = self.runs();
        let answer = self.post(headers, body).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, body), "{:?}: {}", self.sender, shown(headers));
        assert_eq!(self.runs(), before + 1, "the handler runs once");
    }

    fn assert_refusal(&self, answer: &Answer, headers: &[Line]) {
        assert_eq!((answer.status, answer.text()), (401, REFUSAL), "{:?}: {}", self.sender, shown(headers));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }

    /// Shows that the server still works: it answers a good request, and stops when told to.
    pub(crate) async fn finish(self) {
        let body = br#"{"id":"evt_1","type":"ping","data":{"object":{}}}"#;
        self.accepts(&self.sender.sign(body), body).await;
        self.server.stop().await;
    }
}

fn shown(headers: &[Line]) -> String {
    String::from_utf8_lossy(&head("POST", "/hook", headers)).chars().take(600).collect()
}

/// Runs a tower service once, without a socket.
pub(crate) async fn oneshot<B>(router: &Router, request: Request<B>) -> Response<axum::body::Body>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let Ok(response) = router.clone().oneshot(request).await;
    response
}
