//! A server that publishes keys by HTTPS, on loopback, and a client that takes it for a sender.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tower_webhooks::{
    BoxError, BoxFuture,
    keys::{DestinationPolicy, HttpsKeyClient, KeyClient, Resolver},
};

use super::tls::Authority;

/// How a server answers a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A status line without its version, headers each with their line ending, and a body.
    Answer(&'static str, String, Bytes),
    /// Nothing, for so long.
    Late(Duration),
}

impl Reply {
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::Answer("200 OK", "Content-Type: application/json\r\n".to_owned(), body.into())
    }
}

pub(crate) struct KeyServer {
    pub(crate) address: SocketAddr,
    /// The requests in the order of arrival.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    reply: Arc<Mutex<Reply>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl KeyServer {
    pub(crate) async fn start(config: ServerConfig, reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, reply) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(reply)));
        let (log, now) = (Arc::clone(&requests), Arc::clone(&reply));
        let (acceptor, connections) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, log, now) = (acceptor.clone(), Arc::clone(&log), Arc::clone(&now));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let request = read(&mut stream).await?;
                    log.lock().unwrap().push(request);
                    let reply = now.lock().unwrap().clone();
                    match reply {
                        Reply::Answer(status, headers, body) => {
                            let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
                            stream.write_all(head.as_bytes()).await?;
                            stream.write_all(&body).await?;
                            stream.shutdown().await
                        }
                        Reply::Late(time) => {
                            tokio::time::sleep(time).await;
                            Ok(())
                        }
                    }
                });
            }
        });
        Self { address, requests, reply, connections, task }
    }

    /// Answers otherwise from now on.
    pub(crate) fn replies(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A client that trusts `authority`, and for which every name is this server's.
    pub(crate) fn client(&self, authority: &Authority) -> Here {
        let policy = DestinationPolicy::default()
            .allow_network("127.0.0.0/8".parse().unwrap())
            .allow_ports(self.address.port()..=self.address.port());
        let client = HttpsKeyClient::builder()
            .policy(policy)
            .resolver(Loopback)
            .trusted_roots_pem(authority.pem.clone())
            .build()
            .unwrap();
        Here { client, port: self.address.port() }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| Some(line.strip_prefix("content-length:")?.trim().parse()));
            if body.len() >= length.unwrap_or(Ok(0)).unwrap() {
                return Ok(text);
            }
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

struct Loopback;

impl Resolver for Loopback {
    fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![[127, 0, 0, 1].into()]) })
    }
}

/// Sends requests for port 443 to the server's port, since a test may not listen on port 443.
#[derive(Clone)]
pub(crate) struct Here {
    client: HttpsKeyClient,
    port: u16,
}

impl KeyClient for Here {
    fn send(&self, mut request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, BoxError>> {
        let uri = request.uri().clone();
        assert_eq!(uri.port_u16().unwrap_or(443), 443, "{uri}");
        let (host, path) = (uri.host().unwrap(), uri.path_and_query().unwrap());
        *request.uri_mut() = format!("https://{host}:{}{path}", self.port).parse::<Uri>().unwrap();
        self.client.send(request)
    }
}
