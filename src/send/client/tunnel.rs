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
    connect::{Dialler, MOST_ADDRESSES, http1, server_name},
    proxy::EgressProxy,
    stream::{Budget, Metered, Stream},
};
use crate::boxed::BoxError;

/// The way out, where it is not the direct one.
pub(super) struct Egress {
    pub(super) proxy: EgressProxy,
    /// For the proxy itself; a client's certificate is for receivers and not shown to it.
    pub(super) tls: TlsConnector,
}

/// Why there is no tunnel.
enum Refusal {
    /// Another address may have one.
    Address(BoxError),
    /// The proxy gives none.
    Proxy(BoxError),
}

impl Dialler {
    /// Asks the proxy for a way to one address after the other, within the time that a connection may take. Each gets its
    /// share of it.
    pub(super) async fn tunnel(
        &self,
        egress: &Egress,
        addresses: &[SocketAddr],
        budget: &Budget,
    ) -> Result<(SocketAddr, Box<dyn Stream>), BoxError> {
        let url = egress.proxy.url();
        let proxies = self.look_up(url.host()).await?;
        let proxies: Vec<_> =
            proxies.into_iter().take(MOST_ADDRESSES).map(|address| SocketAddr::new(address, url.port())).collect();

        let mut last = "there is no address to ask for".into();
        let mut left = self.timeout;
        for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = left / others;
            match timeout(share, self.ask(egress, &proxies, *address, share, budget)).await {
                Ok(Ok(stream)) => return Ok((*address, stream)),
                Ok(Err(Refusal::Proxy(cause))) => return Err(cause),
                Ok(Err(Refusal::Address(cause))) => last = cause,
                Err(_) => {
                    last = "the proxy did not answer `CONNECT` in time".into();
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
        if !status.is_success() {
            let cause = format!("the proxy answered `CONNECT` with {}", status.as_u16()).into();
            // Whose credentials are wrong is not helped by another address.
            let is_final = status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
            return Err(if is_final { Refusal::Proxy(cause) } else { Refusal::Address(cause) });
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
    Refusal::Proxy(cause.into())
}
