use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{
    exchange::{Progress, Stage},
    tls,
    tunnel::Egress,
};
use crate::{
    net::{
        destination::{DestinationPolicy, EndpointUrl, canonical},
        resolver::Resolver,
        stream::{Budget, Metered, Stream},
    },
    send::{AttemptError, AttemptErrorKind},
};

/// Finds out where a URL leads, and goes there.
pub(super) struct Dialler {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) tls: TlsConnector,
    /// How long a connection may take to be made.
    pub(super) timeout: Duration,
    pub(super) egress: Option<Egress>,
}

impl Dialler {
    /// The addresses that a URL leads to and that the policy permits, never none. The name is looked up once.
    pub(super) async fn addresses(
        &self,
        url: &EndpointUrl,
        policy: &DestinationPolicy,
    ) -> Result<Vec<SocketAddr>, AttemptError> {
        let found = self
            .look_up(url.host())
            .await
            .map_err(|cause| AttemptError::new(AttemptErrorKind::Dns).with_source(cause))?;
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

    /// The addresses of a host, unchecked, never none.
    pub(super) async fn look_up(&self, host: &Host<String>) -> io::Result<Vec<IpAddr>> {
        let found = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self.resolver.resolve(name).await?,
        };
        if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
    }

    /// Connects to one of some addresses that were checked, itself or by the proxy.
    pub(super) async fn connect(
        &self,
        url: &EndpointUrl,
        addresses: &[SocketAddr],
        progress: &mut Progress,
    ) -> Result<(SocketAddr, Connection), AttemptError> {
        let budget = Budget::default();
        let (address, mut stream): (_, Box<dyn Stream>) = if let Some(egress) = &self.egress {
            progress.stage = Stage::Proxy;
            timeout(self.timeout, self.tunnel(egress, addresses, &budget)).await.unwrap_or_else(|_| {
                Err(AttemptError::new(AttemptErrorKind::Proxy).with_source("the proxy gave no way in time"))
            })?
        } else {
            progress.stage = Stage::Connect;
            let (address, stream) = timeout(self.timeout, self.dial(addresses, self.timeout))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|cause| AttemptError::new(AttemptErrorKind::Connect).with_source(cause))?;
            (address, Box::new(Metered::new(stream, budget.clone())))
        };
        if url.is_https() {
            progress.stage = Stage::Tls;
            let name =
                server_name(url).map_err(|cause| AttemptError::new(AttemptErrorKind::TlsName).with_source(cause))?;
            stream = Box::new(self.tls.connect(name, stream).await.map_err(tls::error)?);
        }
        let connection = Connection::start(stream, budget).await.map_err(failed)?;
        Ok((address, connection))
    }

    /// Dials one address after the other. Each gets its share of the time, so that a dead one leaves some for the next.
    pub(super) async fn dial(
        &self,
        addresses: &[SocketAddr],
        mut left: Duration,
    ) -> io::Result<(SocketAddr, TcpStream)> {
        let mut last = io::ErrorKind::NotFound.into();
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = left / others;
            match timeout(share, dial(*address)).await {
                Ok(Ok(stream)) => return Ok((*address, stream)),
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

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // A request is one write; to wait for more would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The name that a certificate must be for.
pub(super) fn server_name(url: &EndpointUrl) -> Result<ServerName<'static>, InvalidDnsNameError> {
    Ok(match url.host() {
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
        Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())?,
    })
}

/// An HTTP/1.1 connection. It is closed when this is dropped, whatever is under way on it.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) budget: Budget,
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    pub(super) async fn start(stream: Box<dyn Stream>, budget: Budget) -> hyper::Result<Self> {
        let (sender, connection) = http1().handshake(TokioIo::new(stream)).await?;
        // hyper reads and writes in this task. It ends with the connection, or when `Drop` below ends it.
        let task = tokio::spawn(connection);
        Ok(Self { sender, budget, task })
    }

    /// Sorts the failure of a request.
    pub(super) async fn failed(mut self, mut cause: hyper::Error) -> AttemptError {
        // The connection was lost before the request was on its way. Only its task knows why, and is about to end.
        if cause.is_canceled()
            && let Ok(Err(lost)) = (&mut self.task).await
        {
            cause = lost;
        }
        failed(cause)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// HTTP/1.1 as it is spoken with receivers and proxies: no head may be larger.
pub(super) fn http1() -> Builder {
    let mut builder = Builder::new();
    builder.max_headers(MOST_HEADERS).max_header_size(LARGEST_HEAD).max_buf_size(LARGEST_HEAD);
    builder
}

/// With TLS 1.3 a receiver says only now what it thinks of our certificate, or of its absence.
fn failed(cause: hyper::Error) -> AttemptError {
    let kind = if tls::is_behind(&cause) { AttemptErrorKind::Tls } else { AttemptErrorKind::Protocol };
    AttemptError::new(kind).with_source(cause)
}

/// A name can have any number of addresses; a few are enough to find one that answers.
pub(super) const MOST_ADDRESSES: usize = 8;
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 16 * 1024;
