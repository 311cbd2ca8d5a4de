use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    connection::Connection,
    dial::{MOST_ADDRESSES, dial},
    error::{DialError, DialErrorKind},
    stage::Stage,
    tls,
    tunnel::Egress,
};
use crate::net::{
    destination::{DestinationPolicy, EndpointUrl, canonical},
    identity::ClientIdentity,
    resolver::{Resolver, look_up},
    stream::{Budget, Metered, Stream},
};

/// Looks up the addresses of a URL, and connects to one of them.
pub(crate) struct Dialler {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) tls: TlsConnector,
    /// How long making a connection may take.
    pub(crate) timeout: Duration,
    pub(crate) egress: Option<Egress>,
}

impl Dialler {
    /// Returns the addresses of a URL that the policy permits, at least one. The name is looked up once.
    pub(crate) async fn addresses(
        &self,
        url: &EndpointUrl,
        policy: &DestinationPolicy,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let found =
            look_up(&*self.resolver, url.host()).await.map_err(|cause| DialError::new(DialErrorKind::Dns, cause))?;
        let mut permitted: Vec<SocketAddr> = Vec::new();
        // Canonical first, so that an IPv4 address inside an IPv6 one is checked as the IPv4 address. The number is
        // limited after the check, so that forbidden addresses do not use up the tries.
        for address in found.iter().copied().map(canonical).filter(|address| policy.permits_address(*address)) {
            let address = SocketAddr::new(address, url.port());
            if permitted.len() < MOST_ADDRESSES && !permitted.contains(&address) {
                permitted.push(address);
            }
        }
        if permitted.is_empty() {
            let cause = format!("none of {:?} is permitted", &found[..found.len().min(MOST_ADDRESSES)]);
            return Err(DialError::new(DialErrorKind::RefusedDestination, cause));
        }
        Ok(permitted)
    }

    /// Connects to one of the addresses, which were checked: directly, or through the proxy. The receiver is shown this identity, or that
    /// of the client.
    pub(crate) async fn connect(
        &self,
        url: &EndpointUrl,
        addresses: &[SocketAddr],
        identity: Option<&ClientIdentity>,
        stage: &mut Stage,
    ) -> Result<(SocketAddr, Connection), DialError> {
        let budget = Budget::default();
        let (address, mut stream): (_, Box<dyn Stream>) = if let Some(egress) = &self.egress {
            *stage = Stage::Proxy;
            let tunnel = egress.tunnel(&*self.resolver, addresses, self.timeout, &budget);
            timeout(self.timeout, tunnel).await.unwrap_or_else(|_| {
                Err(DialError::new(DialErrorKind::Proxy, "the proxy did not open a tunnel in time"))
            })?
        } else {
            *stage = Stage::Connect;
            let (address, stream) = timeout(self.timeout, dial(addresses, self.timeout))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|cause| DialError::new(DialErrorKind::Connect, cause))?;
            (address, Box::new(Metered::new(stream, budget.clone())))
        };
        if url.is_https() {
            *stage = Stage::Tls;
            let name = tls::server_name(url).map_err(|cause| DialError::new(DialErrorKind::TlsName, cause))?;
            stream = match identity.map(|identity| tls::with_identity(&self.tls, identity)) {
                Some(connector) => Box::new(connector.connect(name, stream).await.map_err(tls::error)?),
                None => Box::new(self.tls.connect(name, stream).await.map_err(tls::error)?),
            };
        }
        Ok((address, Connection::start(stream, budget).await?))
    }
}
