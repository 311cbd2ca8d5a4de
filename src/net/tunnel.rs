use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    connection::http1,
    dial::{MOST_ADDRESSES, dial},
    error::{DialError, DialErrorKind},
    tls::server_name,
};
use crate::{
    boxed::BoxError,
    net::{
        proxy::EgressProxy,
        resolver::{Resolver, look_up},
        stream::{Budget, Metered, Stream},
    },
};

/// The proxy through which connections are made, if they are not direct.
pub(crate) struct Egress {
    pub(crate) proxy: EgressProxy,
    /// TLS with the proxy itself, which does not get the client's certificate: that is for receivers.
    pub(crate) tls: TlsConnector,
}

/// Why there is no tunnel to one address.
enum Refusal {
    /// Another address may work.
    Address(DialError),
    /// The proxy does not work at all.
    Proxy(DialError),
}

impl Egress {
    /// Asks the proxy for a tunnel to one address after the other, within the time that a connection may take. Each gets its share
    /// of the time.
    pub(crate) async fn tunnel(
        &self,
        resolver: &dyn Resolver,
        addresses: &[SocketAddr],
        mut left: Duration,
        budget: &Budget,
    ) -> Result<(SocketAddr, Box<dyn Stream>), DialError> {
        let url = self.proxy.url();
        let proxies = look_up(resolver, url.host()).await.map_err(of_proxy)?;
        let proxies: Vec<_> =
            proxies.into_iter().take(MOST_ADDRESSES).map(|address| SocketAddr::new(address, url.port())).collect();

        let mut last = of_proxy("there is no address to ask for");
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = left / others;
            let mut is_asked = false;
            let way = async {
                let proxy = self.reach(&proxies, share, budget).await?;
                is_asked = true;
                self.ask(proxy, *address).await
            };
            let way = timeout(share, way).await;
            match way {
                Ok(Ok(stream)) => return Ok((*address, stream)),
                Ok(Err(Refusal::Proxy(cause))) => return Err(cause),
                Ok(Err(Refusal::Address(cause))) => last = cause,
                Err(_) => {
                    // If a proxy takes so long, it is usually waiting for its own connection to the receiver.
                    last = match is_asked {
                        true => of_receiver("the proxy did not answer `CONNECT` in time"),
                        false => of_proxy("the proxy could not be reached in time"),
                    };
                    left -= share;
                }
            }
        }
        Err(last)
    }

    /// Connects to the proxy.
    async fn reach(&self, proxies: &[SocketAddr], time: Duration, budget: &Budget) -> Result<Box<dyn Stream>, Refusal> {
        let (_, stream) = dial(proxies, time).await.map_err(refused)?;
        let stream = Metered::new(stream, budget.clone());
        if self.proxy.url().is_https() {
            let name = server_name(self.proxy.url()).map_err(refused)?;
            Ok(Box::new(self.tls.connect(name, stream).await.map_err(refused)?))
        } else {
            Ok(Box::new(stream))
        }
    }

    /// Asks for a tunnel to one address, on a new connection to the proxy.
    async fn ask(&self, stream: Box<dyn Stream>, address: SocketAddr) -> Result<Box<dyn Stream>, Refusal> {
        let (mut sender, mut connection) = http1().handshake(TokioIo::new(stream)).await.map_err(refused)?;
        let mut asked = pin!(sender.send_request(self.proxy.connect(address)));
        // The connection is polled only here, so its buffer afterwards contains everything that was not read.
        let answer = poll_fn(|cx| {
            let ended = connection.poll_without_shutdown(cx);
            match (asked.as_mut().poll(cx), ended) {
                (Poll::Pending, Poll::Ready(Err(cause))) => Poll::Ready(Err(cause)),
                (answer, _) => answer,
            }
        });
        let status = answer.await.map_err(refused)?.status();
        // By the RFC any 2xx opens the tunnel. hyper makes an exception for 204, which no proxy sends.
        if !status.is_success() || status == StatusCode::NO_CONTENT {
            let cause = format!("the proxy answered `CONNECT` with {}", status.as_u16());
            return Err(match status {
                // Wrong credentials are wrong for every address.
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => refused(cause),
                // The proxy cannot reach the receiver (RFC 9110, 15.6.3 and 15.6.5).
                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Refusal::Address(of_receiver(cause)),
                _ => Refusal::Address(of_proxy(cause)),
            });
        }
        // Wait until the whole request was sent, since a proxy may answer before it has read it.
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await.map_err(refused)?;
        let parts = connection.into_parts();
        if !parts.read_buf.is_empty() {
            // A receiver never sends first, so these bytes come from the proxy.
            return Err(refused("bytes came through the tunnel before any were sent"));
        }
        Ok(parts.io.into_inner())
    }
}

fn refused(cause: impl Into<BoxError>) -> Refusal {
    Refusal::Proxy(of_proxy(cause))
}

fn of_proxy(cause: impl Into<BoxError>) -> DialError {
    DialError::new(DialErrorKind::Proxy, cause)
}

fn of_receiver(cause: impl Into<BoxError>) -> DialError {
    DialError::new(DialErrorKind::Connect, cause)
}
