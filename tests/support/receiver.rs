//! Receivers on loopback that send exactly the given bytes, and a client that may connect to them.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower_webhooks::{
    BoxFuture, Secret,
    send::{
        AttemptRequest, AttemptResult, DestinationPolicy, GuardedClient, GuardedClientBuilder, Message, Resolver,
        Signer, Transport,
    },
};

/// A TCP server that hands each connection to a closure.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start<F, Fut>(handler: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    /// The same, on a listener of one's own.
    pub(crate) fn on<F, Fut>(listener: TcpListener, handler: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<()>> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                // A client that hangs up is what these receivers are there for.
                tokio::spawn(handler(stream));
            }
        });
        Self { address, connections, task }
    }

    /// Reads each request and gives this answer; the connection stays open.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |stream| answer_all(stream, answer)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn answer_all(mut stream: TcpStream, answer: &'static str) -> io::Result<()> {
    while !read_request(&mut stream).await?.is_empty() {
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Reads a request with its body; nothing when the connection ended.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| request.len() < wanted) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(Vec::new());
        }
        if wanted.is_none()
            && let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            wanted = Some(end + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap()));
        }
    }
    Ok(request)
}

/// Listeners on several loopback addresses and one port.
pub(crate) async fn same_port<const N: usize>(addresses: [&str; N]) -> [TcpListener; N] {
    loop {
        let first = TcpListener::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        for address in &addresses[1..] {
            // Another process may have the port on this address; then another port is tried.
            listeners.extend(TcpListener::bind((*address, port)).await.ok());
        }
        if let Ok(listeners) = listeners.try_into() {
            return listeners;
        }
    }
}

/// Plain http to loopback at any port, for receivers that are a test's own.
pub(crate) fn loopback_policy() -> DestinationPolicy {
    DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse().unwrap())
        .allow_ports(1024..=65535)
        .insecure_plain_http()
}

/// Certificate authorities that sign nothing, so that no test depends on those of the machine.
pub(crate) fn some_roots() -> String {
    rcgen::generate_simple_self_signed(["unused.example".to_owned()]).unwrap().cert.pem()
}

pub(crate) fn loopback_client(timeout: Duration) -> GuardedClient {
    builder(timeout).build().unwrap()
}

pub(crate) fn builder(timeout: Duration) -> GuardedClientBuilder {
    GuardedClient::builder().policy(loopback_policy()).trusted_roots_pem(some_roots()).timeout(timeout)
}

pub(crate) fn signer() -> Signer {
    Signer::standard_webhooks(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()).unwrap()
}

pub(crate) fn message() -> Message {
    Message::new("order.completed", &serde_json::json!({ "order": 7 })).unwrap()
}

/// One signed attempt.
pub(crate) async fn attempt(client: &GuardedClient, url: &str) -> AttemptResult {
    attempt_with(client, url, 0).await
}

/// One signed attempt whose payload has about `size` bytes.
pub(crate) async fn attempt_with(client: &GuardedClient, url: &str, size: usize) -> AttemptResult {
    let message = Message::new("order.completed", &"x".repeat(size)).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let signer = signer();
    let body: Bytes = message.body(signer.style(), now);
    let url = client.policy().endpoint(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    client.send(AttemptRequest::new(url, signer.headers(&message, now, &body), body)).await
}

/// A resolver that answers from lists, the next one at each look-up and the last one for ever.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Name>>>);

/// How often it was asked, and the answers.
type Name = (usize, Vec<Vec<IpAddr>>);

impl Names {
    pub(crate) fn with<const N: usize>(self, name: &str, answers: [&[&str]; N]) -> Self {
        let answers = answers.map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).into();
        self.0.lock().unwrap().insert(name.to_owned(), (0, answers));
        self
    }

    /// How often a name was looked up.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.0.lock().unwrap()[name].0
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().unwrap();
        let answer = names.get_mut(name).map(|(asked, answers)| {
            *asked += 1;
            answers[(*asked - 1).min(answers.len() - 1)].clone()
        });
        Box::pin(std::future::ready(answer.ok_or_else(|| io::Error::other("no such name"))))
    }
}
