use std::{net::IpAddr, ops::RangeInclusive};

use super::{address, names::AllowedName, network::Network};

/// Where deliveries may go. The default is the public internet, by https, at the ports 443 and 8443.
///
/// Whoever registers an endpoint chooses where the application connects to. Without a policy they could choose anything that
/// this machine can reach. The policy belongs to a client, so the application sets it, and not a tenant. Whatever it opens
/// beyond the default is logged once, when the client is built.
///
/// ```
/// use tower_webhooks::send::DestinationPolicy;
///
/// let on_premises = DestinationPolicy::default()
///     .allow_network("10.20.0.0/16".parse()?) // the customers' own machines
///     .deny_network("10.20.0.0/24".parse()?) // but not our own among them
///     .allow_ports(9000..=9010);
///
/// assert!(on_premises.endpoint("https://10.20.1.7:9000/hook").is_ok());
/// assert!(on_premises.endpoint("https://10.20.0.7:9000/hook").is_err());
/// assert!(DestinationPolicy::default().endpoint("https://10.20.1.7:9000/hook").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct DestinationPolicy {
    networks: Vec<Network>,
    denied: Vec<Network>,
    names: Vec<AllowedName>,
    ports: Vec<RangeInclusive<u16>>,
    plain_http: bool,
}

impl DestinationPolicy {
    /// Allows a network that is not on the public internet. Whoever registers an endpoint can then reach everything in it.
    #[must_use]
    pub fn allow_network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Denies a network, even if another rule allows it. Examples are your own public addresses, where a service trusts
    /// this machine, and the prefix of your own NAT64 translator, which hides the real address.
    ///
    /// An IPv4 network is also denied where an IPv6 address leads to it: `::ffff:0:0/96`, the well-known prefix of NAT64
    /// `64:ff9b::/96`, 6to4, Teredo and ISATAP.
    #[must_use]
    pub fn deny_network(mut self, network: Network) -> Self {
        self.denied.push(network);
        self
    }

    /// Allows a name of an internal network, such as `receiver` or `hooks.corp.internal`. `*.corp.internal` allows all names below
    /// one, and `*` allows every name. Other names need no permission. The addresses of the name are still checked: those
    /// that are not on the public internet need [`allow_network`](Self::allow_network).
    #[must_use]
    pub fn allow_name(mut self, pattern: &str) -> Self {
        self.names.push(AllowedName::new(pattern));
        self
    }

    /// Allows ports beside 443 and 8443. Port 0 is never allowed.
    #[must_use]
    pub fn allow_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports.push(ports);
        self
    }

    /// Allows `http://`, and port 80. Anybody on the network path can then read every payload, and answer in place of the receiver.
    #[must_use]
    pub fn insecure_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Returns `true` if a name was allowed by [`allow_name`](Self::allow_name).
    pub(super) fn allows_name(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| allowed.matches(name))
    }

    /// Returns `true` if an address may be dialled. This is the only place that decides it, both when a URL is registered and
    /// when an attempt dials.
    pub fn permits_address(&self, address: IpAddr) -> bool {
        !address::forms(address).any(|form| self.denied.iter().any(|network| network.contains(form)))
            && (address::is_global(address) || self.networks.iter().any(|network| network.contains(address)))
    }

    /// Returns `true` if a port may be dialled.
    pub fn permits_port(&self, port: u16) -> bool {
        match port {
            0 => false,
            443 | 8443 => true,
            80 if self.plain_http => true,
            port => self.ports.iter().any(|ports| ports.contains(&port)),
        }
    }

    /// Returns `true` if `http://` is allowed.
    pub fn permits_plain_http(&self) -> bool {
        self.plain_http
    }

    /// Returns what the policy allows beyond the default, for the log.
    pub(crate) fn opened(&self) -> Vec<String> {
        let networks = self.networks.iter().map(|network| format!("network {network}"));
        let ports = self.ports.iter().map(|ports| format!("ports {} to {}", ports.start(), ports.end()));
        let names = self.names.iter().map(|name| format!("name {}", name.as_str()));
        let plain = self.plain_http.then(|| "plain http".to_owned());
        networks.chain(names).chain(ports).chain(plain).collect()
    }
}
