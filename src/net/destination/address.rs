//! Which addresses are on the public internet, and which are internal.
//!
//! Source: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890 and its successors): what they list as
//! not globally reachable is rejected. A range that could go either way is rejected too: nobody receives webhooks at a relay of
//! an obsolete protocol. What they list as globally reachable, such as AS112 and AMT (RFC 7450, RFC 7534, RFC 7535), is allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the address that a packet to `address` really goes to, as far as its text shows: an IPv4 address that is written
/// as an IPv6 one (`::ffff:a.b.c.d`) is that IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Returns `true` if an address is on the public internet and not internal.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|&(network, length)| starts_with_v4(address, network.into(), length))
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = nat64(address) {
        return is_global_v4(inner);
    }
    // Everything outside 2000::/3 is special or not assigned.
    let [first, .., fifth, sixth, _, _] = address.segments();
    first & 0xe000 == 0x2000
        && !SPECIAL_V6.iter().any(|&(network, length)| starts_with_v6(address, network, length))
        // ISATAP (RFC 5214): such an address is a tunnel to the IPv4 address at its end.
        && !(matches!(fifth, 0 | 0x0200) && sixth == 0x5efe)
}

/// The IPv4 address that a translator with the well-known prefix `64:ff9b::/96` (RFC 6052) would dial. Hosts that have
/// IPv6 alone get such addresses from their DNS for every receiver that has IPv4 alone, so the inner address decides.
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    (bits >> 32 == 0x0064_ff9b << 64).then(|| Ipv4Addr::from_bits(bits as u32))
}

/// An address, and the IPv4 addresses that a relay or translator on the way would make of it. Where deliveries must not go is
/// compared with each of them.
pub(crate) fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let address = canonical(address);
    let IpAddr::V6(v6) = address else { return [Some(address), None, None].into_iter().flatten() };
    let bits = v6.to_bits();
    let last = Ipv4Addr::from_bits(bits as u32);
    let (first, second) = match v6.segments() {
        // NAT64, RFC 6052, and its prefixes for local use, RFC 8215, where the IPv4 address stands last.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] => (Some(last), None),
        // IPv4-compatible, RFC 4291, without `::` and `::1`.
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => (Some(last), None),
        // 6to4, RFC 3056.
        [0x2002, ..] => (Some(Ipv4Addr::from_bits((bits >> 80) as u32)), None),
        // Teredo, RFC 4380: its server, and the receiver, whose bits are turned.
        [0x2001, 0, ..] => (Some(Ipv4Addr::from_bits((bits >> 64) as u32)), Some(Ipv4Addr::from_bits(!(bits as u32)))),
        // ISATAP, RFC 5214.
        [_, _, _, _, 0 | 0x0200, 0x5efe, _, _] => (Some(last), None),
        _ => (None, None),
    };
    [Some(address), first.map(IpAddr::V4), second.map(IpAddr::V4)].into_iter().flatten()
}

fn starts_with_v4(address: Ipv4Addr, network: Ipv4Addr, length: u8) -> bool {
    same_prefix(u128::from(address.to_bits()) << 96, u128::from(network.to_bits()) << 96, length)
}

fn starts_with_v6(address: Ipv6Addr, network: Ipv6Addr, length: u8) -> bool {
    same_prefix(address.to_bits(), network.to_bits(), length)
}

/// Returns `true` if two addresses, each at the upper end of its 128 bits, have the same first `length` bits.
pub(crate) fn same_prefix(left: u128, right: u128, length: u8) -> bool {
    // A length of 0 would shift by all 128 bits, which is an overflow: every two addresses then have the same prefix.
    (left ^ right).checked_shr(128 - u32::from(length)).unwrap_or(0) == 0
}

const SPECIAL_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),        // "this network", RFC 791
    ([10, 0, 0, 0], 8),       // private, RFC 1918
    ([100, 64, 0, 0], 10),    // shared between provider and customer, RFC 6598
    ([127, 0, 0, 0], 8),      // loopback, RFC 1122
    ([169, 254, 0, 0], 16),   // link-local, RFC 3927: the metadata of clouds
    ([168, 63, 129, 16], 32), // the platform of Azure behind every virtual machine: name server, health probes, agents
    ([172, 16, 0, 0], 12),    // private, RFC 1918
    ([192, 0, 0, 0], 24),     // protocol assignments, RFC 6890: DS-Lite, NAT64 discovery
    ([192, 0, 2, 0], 24),     // documentation, RFC 5737
    ([192, 88, 99, 0], 24),   // relays of 6to4, RFC 7526
    ([192, 168, 0, 0], 16),   // private, RFC 1918
    ([198, 18, 0, 0], 15),    // benchmarks, RFC 2544
    ([198, 51, 100, 0], 24),  // documentation, RFC 5737
    ([203, 0, 113, 0], 24),   // documentation, RFC 5737
    ([224, 0, 0, 0], 4),      // multicast, RFC 5771
    ([240, 0, 0, 0], 4),      // reserved, RFC 1112, and broadcast
];

/// Within 2000::/3.
const SPECIAL_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, RFC 2928: Teredo, benchmarks, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, RFC 7526: a tunnel to the IPv4 address within
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];
