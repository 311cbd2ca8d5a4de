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

use super::connect::{Dialler, MOST_ADDRESSES, http1, server_name};
use crate::{
    boxed::BoxError,
    net::{
        proxy::EgressProxy,
        stream::{Budget, Metered, Stream},
    },
    send::{AttemptError, AttemptErrorKind},
};

/// The way out, where it is not the direct one.
pub(super) struct Egress {
    pub(super) proxy: EgressProxy,
    /// For the proxy itself; a client's certificate is for receivers and not shown to it.
    pub(super) tls: TlsConnector,
}

/// Why there is no tunnel to one address.
enum Refusal {
    /// Another address may have one.
    Address(AttemptError),
    /// The proxy gives none.
    Proxy(AttemptError),
}

impl Dialler {
    /// Asks the proxy for a way to one address after the other, within the time that a connection may take. Each gets its
    /// share of it.
    pub(super) async fn tunnel(
        &self,
        egress: &Egress,
        addresses: &[SocketAddr],
        budget: &Budget,
    ) -> Result<(SocketAddr, Box<dyn Stream>), AttemptError> {
        let url = egress.proxy.url();
        let proxies = self.look_up(url.host()).await.map_err(of_proxy)?;
        let proxies: Vec<_> =
            proxies.into_iter().take(MOST_ADDRESSES).map(|address| SocketAddr::new(address, url.port())).collect();

        let mut last = of_proxy("there is no address to ask for");
        let mut left = self.timeout;
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = left / others;
            let mut asked = false;
            match timeout(share, self.ask(egress, &proxies, *address, share, budget, &mut asked)).await {
                Ok(Ok(stream)) => return Ok((*address, stream)),
                Ok(Err(Refusal::Proxy(cause))) => return Err(cause),
                Ok(Err(Refusal::Address(cause))) => last = cause,
                Err(_) => {
                    // What takes a proxy so long is the receiver, as a rule: it waits for the connection itself.
                    last = match asked {
                        true => of_receiver("the proxy did not answer `CONNECT` in time"),
                        false => of_proxy("the proxy could not be reached in time"),
                    };
                    left -= share;
                }
            }
        }
        Err(last)
    }

    /// Asks for a way to one address, on a connection of its own.
    async fn ask(
        &self,
        egress: &Egress,
        proxies: &[SocketAddr],
        address: SocketAddr,
        time: Duration,
        budget: &Budget,
        was_asked: &mut bool,
    ) -> Result<Box<dyn Stream>, Refusal> {
        let (_, stream) = self.dial(proxies, time).await.map_err(refused)?;
        let stream = Metered::new(stream, budget.clone());
        let stream: Box<dyn Stream> = if egress.proxy.url().is_https() {
            let name = server_name(egress.proxy.url()).map_err(refused)?;
            Box::new(egress.tls.connect(name, stream).await.map_err(refused)?)
        } else {
            Box::new(stream)
        };

        let (mut sender, mut connection) = http1().handshake(TokioIo::new(stream)).await.map_err(refused)?;
        *was_asked = true;
        let mut asked = pin!(sender.send_request(egress.proxy.connect(address)));
        // Nobody else polls the connection, so what is left of it afterwards is all there is.
        let answer = poll_fn(|cx| {
            let ended = connection.poll_without_shutdown(cx);
            match (asked.as_mut().poll(cx), ended) {
                (Poll::Pending, Poll::Ready(Err(cause))) => Poll::Ready(Err(cause)),
                (answer, _) => answer,
            }
        });
        let status = answer.await.map_err(refused)?.status();
        // Any 2xx opens the tunnel, says the RFC; hyper makes an exception of this one, and no proxy sends it.
        if !status.is_success() || status == StatusCode::NO_CONTENT {
            let cause = format!("the proxy answered `CONNECT` with {}", status.as_u16());
            return Err(match status {
                // Whose credentials are wrong is not helped by another address.
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => refused(cause),
                // So a proxy says that the receiver cannot be reached (RFC 9110, 15.6.3 and 15.6.5).
                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Refusal::Address(of_receiver(cause)),
                _ => Refusal::Address(of_proxy(cause)),
            });
        }
        // Until the request has left as a whole: a proxy may answer before it has read it.
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await.map_err(refused)?;
        let parts = connection.into_parts();
        if !parts.read_buf.is_empty() {
            // No receiver speaks first; these bytes are the proxy's.
            return Err(refused("bytes came through the tunnel before any were sent"));
        }
        Ok(parts.io.into_inner())
    }
}

fn refused(cause: impl Into<BoxError>) -> Refusal {
    Refusal::Proxy(of_proxy(cause))
}

fn of_proxy(cause: impl Into<BoxError>) -> AttemptError {
    AttemptError::new(AttemptErrorKind::Proxy).with_source(cause)
}

fn of_receiver(cause: impl Into<BoxError>) -> AttemptError {
    AttemptError::new(AttemptErrorKind::Connect).with_source(cause)
}
