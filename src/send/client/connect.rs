use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use super::{
    exchange::{Progress, Stage},
    tls,
};
use crate::send::{AttemptError, AttemptErrorKind, DestinationPolicy, EndpointUrl, Resolver, destination::canonical};

/// Finds out where a URL leads, and goes there.
pub(super) struct Dialler {
    resolver: Arc<dyn Resolver>,
    tls: TlsConnector,
    timeout: Duration,
}

impl Dialler {
    pub(super) fn new(resolver: Arc<dyn Resolver>, tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self { resolver, tls: tls.into(), timeout }
    }

    /// The addresses that a URL leads to and that the policy permits, never none. The name is looked up once.
    pub(super) async fn addresses(
        &self,
        url: &EndpointUrl,
        policy: &DestinationPolicy,
    ) -> Result<Vec<SocketAddr>, AttemptError> {
        let found = match url.host() {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self
                .resolver
                .resolve(name)
                .await
                .map_err(|cause| AttemptError::new(AttemptErrorKind::Dns).with_source(cause))?,
        };
        if found.is_empty() {
            return Err(AttemptError::new(AttemptErrorKind::Dns).with_source("the name has no address"));
        }
        let mut permitted: Vec<SocketAddr> = Vec::new();
        for address in found.iter().copied().map(canonical).filter(|address| policy.permits_address(*address)) {
            let address = SocketAddr::new(address, url.port());
            if permitted.len() < MOST_ADDRESSES && !permitted.contains(&address) {
                permitted.push(address);
            }
        }
        if permitted.is_empty() {
            let cause = format!("none of {found:?} is permitted");
            return Err(AttemptError::new(AttemptErrorKind::RefusedDestination).with_source(cause));
        }
        Ok(permitted)
    }

    /// Connects to one of some addresses that were checked.
    pub(super) async fn connect(
        &self,
        url: &EndpointUrl,
        addresses: &[SocketAddr],
        progress: &mut Progress,
    ) -> Result<(SocketAddr, Connection), AttemptError> {
        progress.stage = Stage::Connect;
        let (address, stream) = timeout(self.timeout, self.dial(addresses))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|cause| AttemptError::new(AttemptErrorKind::Connect).with_source(cause))?;
        let stream = if url.is_https() {
            progress.stage = Stage::Tls;
            let stream = self.tls.connect(server_name(url)?, stream).await.map_err(tls::error)?;
            Stream::Tls { inner: Box::new(stream) }
        } else {
            Stream::Plain { inner: stream }
        };
        let connection = Connection::start(stream).await.map_err(protocol)?;
        Ok((address, connection))
    }

    /// Dials one address after the other. Each gets its share of the time, so that a dead one leaves some for the next.
    async fn dial(&self, addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
        let mut last = io::ErrorKind::NotFound.into();
        let mut left = self.timeout;
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = left / others;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is one write; to wait for more would only delay it.
                    stream.set_nodelay(true)?;
                    return Ok((*address, stream));
                }
                Ok(Err(cause)) => last = cause,
                Err(_) => {
                    last = io::ErrorKind::TimedOut.into();
                    left -= share;
                }
            }
        }
        Err(last)
    }
}

/// The name that a certificate must be for.
fn server_name(url: &EndpointUrl) -> Result<ServerName<'static>, AttemptError> {
    Ok(match url.host() {
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
        Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .map_err(|cause| AttemptError::new(AttemptErrorKind::TlsName).with_source(cause))?,
    })
}

/// An HTTP/1.1 connection. It is closed when this is dropped, whatever is under way on it.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Connection {
    async fn start(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        // hyper reads and writes in this task. It ends with the connection, or when `Drop` below ends it.
        let task = tokio::spawn(async move {
            // What went wrong is told to the request that is under way; on an idle connection it is no news.
            let _ = connection.await;
        });
        Ok(Self { sender, task })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn protocol(cause: hyper::Error) -> AttemptError {
    AttemptError::new(AttemptErrorKind::Protocol).with_source(cause)
}

pin_project! {
    /// What HTTP is spoken on.
    #[project = StreamProjection]
    enum Stream {
        Plain { #[pin] inner: TcpStream },
        Tls { #[pin] inner: Box<TlsStream<TcpStream>> },
    }
}

macro_rules! either {
    ($stream:ident, $inner:ident => $call:expr) => {
        match $stream.project() {
            StreamProjection::Plain { inner: $inner } => $call,
            StreamProjection::Tls { inner: $inner } => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => inner.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, inner => inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => inner.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => inner.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain { inner } => inner.is_write_vectored(),
            Self::Tls { inner } => inner.is_write_vectored(),
        }
    }
}

/// A name can have any number of addresses; a few are enough to find one that answers.
const MOST_ADDRESSES: usize = 8;
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 16 * 1024;
