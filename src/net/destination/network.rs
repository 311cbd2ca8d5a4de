use std::{error::Error, fmt, net::IpAddr, str::FromStr};

use super::address::{canonical, same_prefix};

/// A range of addresses, such as `10.20.0.0/16` or `fd00::/8`. A single address is a range too.
///
/// ```
/// use tower_webhooks::send::Network;
///
/// let network: Network = "10.20.0.0/16".parse()?;
/// assert!(network.contains("10.20.3.4".parse()?));
/// assert!(network.contains("::ffff:10.20.3.4".parse()?)); // the same address, written as IPv6
/// assert!(!network.contains("10.21.3.4".parse()?));
///
/// assert!("10.20.0.1/16".parse::<Network>().is_err()); // bits are set after the prefix: probably a typing mistake
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    length: u8,
}

impl Network {
    /// Returns `true` if an address is in the range. An IPv4 address that is written as an IPv6 one counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        self.first.is_ipv4() == address.is_ipv4() && same_prefix(bits(self.first), bits(address), self.length)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = canonical(address);
        Self { first: address, length: width(address) }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = |what| NetworkError { what };
        let (first, length) = text.split_once('/').map_or((text, None), |(first, length)| (first, Some(length)));
        let first: IpAddr =
            first.parse().map_err(|_| error("a network is an address, or an address, `/` and a length"))?;
        if canonical(first) != first {
            return Err(error("write this network as an IPv4 one"));
        }
        let Some(length) = length else { return Ok(first.into()) };
        let length = length
            .parse()
            .ok()
            .filter(|length| *length <= width(first))
            .ok_or(error("the length of the network is not a number that fits its address"))?;
        if bits(first).checked_shl(u32::from(length)).unwrap_or(0) != 0 {
            return Err(error("the address of the network has bits set after its length"));
        }
        Ok(Self { first, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a network.
///
/// ```
/// use tower_webhooks::send::Network;
///
/// let error = "10.0.0.0/33".parse::<Network>().unwrap_err();
/// assert_eq!(error.to_string(), "the length of the network is not a number that fits its address");
/// ```
#[derive(Debug, Clone)]
pub struct NetworkError {
    what: &'static str,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Error for NetworkError {}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The bits of an address, at the upper end.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_has_its_two_ends() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("127.0.0.1", ["127.0.0.1", "::ffff:127.0.0.1"], ["127.0.0.0", "::1"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("::/0", ["::", "ffff::"], ["1.2.3.4", "::ffff:1.2.3.4"]),
            ("fd00::/9", ["fd00::", "fd7f:ffff::1"], ["fd80::", "fcff::"]),
        ] {
            let network: Network = network.parse().unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{network} {address}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{network} {address}");
            }
            assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
        }
    }

    #[test]
    fn what_is_not_a_network_is_rejected() {
        for text in
            ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.1/8", "10/8", "host/8", "::ffff:10.0.0.0/104"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
