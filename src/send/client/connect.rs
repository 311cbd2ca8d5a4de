use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{
    exchange::{Progress, Stage},
    stream::{Budget, Metered, Stream},
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
            let cause = format!("none of {:?} is permitted", &found[..found.len().min(MOST_ADDRESSES)]);
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
        let budget = Budget::default();
        let stream = Metered::new(stream, budget.clone());
        let stream: Box<dyn Stream> = if url.is_https() {
            progress.stage = Stage::Tls;
            Box::new(self.tls.connect(server_name(url)?, stream).await.map_err(tls::error)?)
        } else {
            Box::new(stream)
        };
        let connection = Connection::start(stream, budget).await.map_err(protocol)?;
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
    pub(super) budget: Budget,
    task: JoinHandle<()>,
}

impl Connection {
    async fn start(stream: Box<dyn Stream>, budget: Budget) -> hyper::Result<Self> {
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
        Ok(Self { sender, budget, task })
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

/// A name can have any number of addresses; a few are enough to find one that answers.
const MOST_ADDRESSES: usize = 8;
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 16 * 1024;
