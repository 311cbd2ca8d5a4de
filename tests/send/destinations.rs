//! Where deliveries may go: every notation of an address that is not public, and every way to a name.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Stdio},
    time::Duration,
};

use proptest::prelude::*;
use receiver::{Names, Receiver, answer_all, attempt, builder, loopback_policy, same_port};
use tower_webhooks::send::{
    AttemptErrorKind, DestinationPolicy, EndpointUrl, EndpointUrlErrorKind, GuardedClient, Network,
};

use crate::support::receiver;

/// The first and the last address of every special-purpose range of the IANA registries that is not of the internet, and of
/// what is not given out to anybody.
const FORBIDDEN: &[&str] = &[
    // IPv4.
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.0.171",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.88.99.2",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
    // IPv6.
    "::",
    "::1",
    "::2",
    // IPv4-compatible: deprecated, and a way to write an IPv4 address.
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:ffff",
    // IPv4-mapped: they are the address in them.
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:192.168.0.1",
    "::ffff:255.255.255.255",
    // IPv4-translated (RFC 2765).
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    // NAT64: the well-known prefix leads to the address in it, the local one anywhere.
    "64:ff9b::0.0.0.0",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::192.168.255.255",
    "64:ff9b::224.0.0.1",
    "64:ff9b:1::",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "64:ff9b:0:1::8.8.8.8",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "100:0:0:1::",
    "200::",
    "400::1",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    // Protocol assignments: Teredo, anycast, benchmarks, AMT, AS112, ORCHID, ORCHIDv2, drone ids.
    "2001::",
    "2001:0:7f00:1::80ff:fffe",
    "2001:0:ffff:ffff:ffff:ffff:80ff:fffe",
    "2001:1::1",
    "2001:1::2",
    "2001:2::",
    "2001:2:0:ffff:ffff:ffff:ffff:ffff",
    "2001:3::",
    "2001:4:112::",
    "2001:10::",
    "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:20::",
    "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:30::",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    // 6to4: a tunnel to the address in it.
    "2002::",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "2002:808:808::1",
    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    // ISATAP: another.
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
    "3fff::",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    // Not allocated.
    "4000::",
    "5f00::",
    "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "8000::1",
    "e000::1",
    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    // Unique local, link-local, site-local, multicast.
    "fc00::",
    "fd00::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe00::1",
    "fe80::",
    "fe80::1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::",
    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "ff00::",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/// Hosts in URLs that are one of those addresses, or a name of this machine.
const SPELLINGS: &[&str] = &[
    // Short, decimal, octal, hexadecimal, and mixed.
    "0",
    "0x0",
    "00",
    "0.0",
    "127.1",
    "127.0.1",
    "127.65535",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0177.1",
    "0177.0.0.01",
    "00000000177.0.0.1",
    "0x0000007f.0.0.1",
    "127.0x0.0.01",
    "127.00.00.01",
    "127.000.000.001",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "0xa9fea9fe",
    "2852039166",
    "169.0376.169.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "3232235777",
    "0300.0250.1.1",
    "172.1048577",
    "4294967295",
    "0xffffffff",
    // With a dot behind.
    "127.0.0.1.",
    "127.1.",
    "2130706433.",
    "0x7f.1.",
    // Other digits and other dots, which the URL standard turns into the usual ones.
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "１２７。０。０。１",
    "①②⑦.⓪.⓪.①",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    "０ｘ７ｆ.１",
    "2130706４33",
    // Percent-encoded.
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127%2E0.0.1",
    "%30x7f.1",
    "%EF%BC%9127.0.0.1",
    "127.0.0.%31",
    // Characters that the parser drops.
    "127.0.0.1\u{ad}",
    "127\u{200b}.0.0.1",
    // IPv6 in other words.
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:0:7f00:1]",
    "[64:FF9B::7f00:1]",
    "[2002:7f00:0001::]",
    "[fe80::1%25eth0]",
    "[::1%251]",
    // Names of this machine.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost.",
    "anything.localhost",
    "ｌｏｃａｌｈｏｓｔ",
    "loc%61lhost",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "localho\u{ad}st",
];

const PUBLIC: &[&str] = &[
    "1.0.0.1",
    "1.1.1.1",
    "8.8.8.8",
    "9.9.9.9",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.196.1",
    "192.52.193.1",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2620:4f:8000::1",
    "2a00:1450:4001:800::200e",
    "3ffe::1",
    "3fff:1000::1",
];

fn host(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[test]
fn no_spelling_of_a_forbidden_address_is_an_endpoint() {
    let literals = FORBIDDEN.iter().map(|text| host(&text.parse().unwrap()));
    let hosts: Vec<String> = literals.chain(SPELLINGS.iter().map(|&text| text.to_owned())).collect();

    for host in &hosts {
        for url in [format!("https://{host}/"), format!("HTTPS://{host}:8443/a?b"), format!("https://{host}")] {
            let error = url.parse::<EndpointUrl>().expect_err(&url);
            let kind = error.kind();
            // A zone id makes the URL malformed. Every other form is parsed, and refused because of its address.
            let expected =
                if host.contains("%25") { EndpointUrlErrorKind::Malformed } else { EndpointUrlErrorKind::Address };
            assert_eq!(kind, expected, "{url}");
        }
    }
    assert!(FORBIDDEN.len() >= 100 && hosts.len() >= 180, "{} {}", FORBIDDEN.len(), hosts.len());
}

#[test]
fn public_addresses_and_names_are_endpoints() {
    let addresses = PUBLIC.iter().map(|text| host(&text.parse().unwrap()));
    let names = [
        "example.com",
        "EXAMPLE.com.",
        "bücher.example",
        "xn--bcher-kva.example",
        "localhost.example.com",
        "a_b.example",
    ];

    for host in addresses.chain(names.map(str::to_owned)) {
        for url in [format!("https://{host}/"), format!("https://{host}:443/a%20b?c=d"), format!("https://{host}:8443")]
        {
            let parsed = url.parse::<EndpointUrl>();
            let parsed = parsed.unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(parsed.as_str().parse::<EndpointUrl>().unwrap(), parsed, "as it is stored it is taken again");
        }
    }
    assert!(PUBLIC.len() >= 30);
}

#[test]
fn a_url_that_two_readers_could_read_in_two_ways_is_refused() {
    use EndpointUrlErrorKind as Kind;
    let long = format!("https://example.com/{}", "a".repeat(2029));
    for (url, kind) in [
        ("", Kind::Malformed),
        ("/hook", Kind::Malformed),
        ("example.com/hook", Kind::Malformed),
        ("https:example.com", Kind::Malformed),
        ("https:/example.com", Kind::Malformed),
        ("https:///example.com", Kind::Malformed),
        ("https://", Kind::Malformed),
        ("https://?a", Kind::Malformed),
        ("https://example.com:99999/", Kind::Malformed),
        ("https://[::1", Kind::Malformed),
        ("https://exa<mple.com/", Kind::Malformed),
        ("https://1.2.3.4.5/", Kind::Malformed),
        ("https://256.256.256.256/", Kind::Malformed),
        ("https://1.2.3.0x100000000/", Kind::Malformed),
        ("https://127.0.0.1%00.example.com/", Kind::Malformed),
        ("https://%2e/", Kind::Malformed),
        ("https://exa`mple.com/", Kind::Malformed),
        ("https://$(id).example.com/", Kind::Malformed),
        ("https://a..example.com/", Kind::Malformed),
        ("https://.example.com/", Kind::Malformed),
        (&format!("https://{}.example/", "a".repeat(64)), Kind::Malformed),
        ("http://example.com/", Kind::Scheme),
        ("ftp://example.com/", Kind::Scheme),
        ("file:///etc/passwd", Kind::Scheme),
        ("gopher://127.0.0.1:6379/_", Kind::Scheme),
        ("unix://var/run/docker.sock", Kind::Scheme),
        ("javascript://example.com/%0aalert(1)", Kind::Scheme),
        ("https://example.com/#", Kind::Fragment),
        ("https://example.com/#a", Kind::Fragment),
        ("https://example.com#@127.0.0.1/", Kind::Fragment),
        ("https://user@example.com/", Kind::UserInfo),
        ("https://user:password@example.com/", Kind::UserInfo),
        ("https://@example.com/", Kind::UserInfo),
        ("https://:@example.com/", Kind::UserInfo),
        ("https://example.com@127.0.0.1/", Kind::UserInfo),
        ("https://example.com\\@127.0.0.1/", Kind::Character),
        ("https:\\\\example.com/", Kind::Character),
        ("https://example.com/a\\b", Kind::Character),
        (" https://example.com/", Kind::Character),
        ("https://example.com/ ", Kind::Character),
        ("https://example.com/a b", Kind::Character),
        ("https://exam\tple.com/", Kind::Character),
        ("https://example.com/\r\nHost: internal", Kind::Character),
        ("https://example.com/\u{0}", Kind::Character),
        ("https://example.com/\u{7f}", Kind::Character),
        ("https://example.com/\u{a0}", Kind::Character),
        ("https://example.com/\u{2028}", Kind::Character),
        ("https://example.com:0/", Kind::Port),
        ("https://example.com:80/", Kind::Port),
        ("https://example.com:22/", Kind::Port),
        ("https://example.com:65535/", Kind::Port),
        (&long, Kind::TooLong),
        (&format!("https://example.com/{}", "ä".repeat(400)), Kind::TooLong),
    ] {
        let error = url.parse::<EndpointUrl>().expect_err(url);
        assert_eq!(error.kind(), kind, "{url:?}");
        assert!(!error.to_string().is_empty());
    }
    assert!(long[..2048].parse::<EndpointUrl>().is_ok());
}

#[test]
fn what_is_opened_is_open_and_nothing_else() {
    let policy = DestinationPolicy::default()
        .allow_network("10.20.0.0/16".parse().unwrap())
        .deny_network("10.20.30.0/24".parse().unwrap())
        .deny_network("8.8.8.0/24".parse().unwrap())
        .allow_ports(9000..=9001);

    for url in ["https://10.20.0.1/", "https://[::ffff:10.20.0.1]:9000/", "https://1.1.1.1:9001/"] {
        assert!(policy.endpoint(url).is_ok(), "{url}");
    }
    for url in [
        "https://10.20.30.1/",
        "https://10.21.0.1/",
        "https://8.8.8.8/",
        "https://[::ffff:8.8.8.8]/",
        "https://10.20.0.1:9002/",
        "http://10.20.0.1/",
        "https://127.0.0.1/",
        "https://[64:ff9b::10.20.0.1]/",
    ] {
        assert!(policy.endpoint(url).is_err(), "{url}");
    }
    assert!(!policy.allow_ports(0..=65535).permits_port(0));
    assert!(loopback_policy().endpoint("http://localhost:8080/").is_ok());
    assert!(loopback_policy().endpoint("http://example.com/").is_ok());
}

#[test]
fn a_denied_network_is_denied_by_whatever_way_an_address_leads_to_it() {
    let denied: Network = "198.97.38.0/24".parse().unwrap();
    let all = ["::/0", "0.0.0.0/0"].map(|network| network.parse().unwrap());
    let plain = DestinationPolicy::default().deny_network(denied);
    let open = all.into_iter().fold(plain.clone(), DestinationPolicy::allow_network);
    let around = all.into_iter().fold(DestinationPolicy::default(), DestinationPolicy::allow_network);

    for address in [
        "198.97.38.7",
        "::ffff:198.97.38.7",
        "64:ff9b::198.97.38.7",
        "64:ff9b:1::198.97.38.7",
        "::198.97.38.7",
        "2002:c661:2607::1",
        "2002:c661:2607:5:6:7:8:9",
        // Teredo: the server, and the receiver.
        "2001:0:c661:2607::1",
        "2001:0:808:808:0:0:399e:d9f8",
        "2600::5efe:c661:2607",
        "2600::200:5efe:c661:2607",
    ] {
        let address: IpAddr = address.parse().unwrap();
        for policy in [&plain, &open] {
            assert!(!policy.permits_address(address), "{address}");
            let refused = policy.endpoint(&format!("https://{}/", host(&address))).unwrap_err();
            assert_eq!(refused.kind(), EndpointUrlErrorKind::Address, "{address}");
        }
        assert!(around.permits_address(address), "it is denied for its network alone: {address}");
    }
    for address in ["198.97.39.7", "64:ff9b::198.97.39.7", "2002:c661:2707::1", "2600::c661:2607"] {
        assert!(open.permits_address(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn the_platform_of_a_cloud_is_no_receiver() {
    let policy = DestinationPolicy::default();

    for address in ["168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::168.63.129.16"] {
        assert!(!policy.permits_address(address.parse().unwrap()), "{address}");
    }
    assert!(policy.endpoint("https://168.63.129.16/").is_err());
    for address in ["168.63.129.15", "168.63.129.17"] {
        assert!(policy.permits_address(address.parse().unwrap()), "{address}");
    }
    let opened = policy.allow_network("168.63.129.16".parse().unwrap());
    assert!(opened.endpoint("https://168.63.129.16/").is_ok());
}

#[test]
fn a_name_of_an_internal_network_is_refused_when_it_is_registered_unless_it_is_allowed() {
    use EndpointUrlErrorKind as Kind;
    for (name, kind, why) in [
        ("localhost.localdomain", Kind::Address, "address"),
        ("ip6-localhost", Kind::Address, "address"),
        ("ip6-loopback", Kind::Address, "address"),
        ("metadata", Kind::Name, "no dot"),
        ("Redis.", Kind::Name, "no dot"),
        ("metadata.google.internal", Kind::Name, "`.internal`"),
        ("METADATA.google.INTERNAL.", Kind::Name, "`.internal`"),
        ("api.default.svc", Kind::Name, "`.svc`"),
        ("api.default.svc.cluster.local", Kind::Name, "`.local`"),
        ("printer.local", Kind::Name, "`.local`"),
        ("nas.home.arpa", Kind::Name, "`.home.arpa`"),
        ("wiki.corp", Kind::Name, "`.corp`"),
        ("router.lan", Kind::Name, "`.lan`"),
    ] {
        let url = format!("https://{name}/hook");
        let refused = url.parse::<EndpointUrl>().expect_err(name);
        assert_eq!(refused.kind(), kind, "{name}");
        assert!(refused.to_string().contains(why), "{name}: {refused}");
        let allowed = DestinationPolicy::default().allow_name(name);
        assert_eq!(allowed.endpoint(&url).is_ok(), kind == Kind::Name, "{name}");
        assert_eq!(DestinationPolicy::default().allow_name("*").endpoint(&url).is_ok(), kind == Kind::Name, "{name}");
        let machine = DestinationPolicy::default().allow_network("127.0.0.0/8".parse().unwrap());
        assert_eq!(machine.endpoint(&url).is_ok(), kind == Kind::Address, "{name}");
    }
    let policy = DestinationPolicy::default().allow_name("*.corp.internal");
    assert!(policy.endpoint("https://hooks.corp.internal/").is_ok());
    assert!(policy.endpoint("https://corp.internal/").is_err());
    assert!(policy.endpoint("https://metadata.google.internal/").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if is_long() { 100_000 } else { 1_000 }))]

    /// Any text is refused, or it is a URL that every parser reads in the same way, and that contains no internal
    /// address.
    #[test]
    fn any_text_is_refused_or_means_one_thing(
        text in "https?://([0-9a-fx.:%@/?#\\\\\\[\\]]|127|10|0x7f|::|ffff|localhost|example|com|\\PC){0,12}"
    ) {
        if let Ok(url) = text.parse::<EndpointUrl>() {
            prop_assert_eq!(&url.as_str().parse::<EndpointUrl>().unwrap(), &url);
            prop_assert!(http::HeaderValue::from_str(url.authority()).is_ok());
            let host = url.authority().trim_end_matches(":8443").trim_matches(['[', ']']);
            if let Ok(address) = host.parse::<IpAddr>() {
                prop_assert!(DestinationPolicy::default().permits_address(address), "{}", address);
            }
            let uri: http::Uri = url.as_str().parse().unwrap();
            prop_assert_eq!(uri.authority().unwrap().as_str(), url.authority());
            prop_assert_eq!(uri.scheme_str(), Some("https"));
        }
    }
}

#[test]
fn a_url_is_not_shown_whole_in_a_log() {
    let url: EndpointUrl = "https://example.com/services/T0/B0/the-only-secret?token=another".parse().unwrap();

    assert_eq!(format!("{url:?}"), "EndpointUrl(https://example.com/…)");
}

// --- Names ------------------------------------------------------------------------------------------------------------

const DELIVERED: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn on_two_and_three(names: &Names, allowed: &[&str]) -> GuardedClient {
    let policy = DestinationPolicy::default().allow_ports(1024..=65535).insecure_plain_http();
    let policy = allowed.iter().fold(policy, |policy, network| policy.allow_network(network.parse().unwrap()));
    builder(Duration::from_secs(5)).policy(policy).resolver(names.clone()).build().unwrap()
}

#[tokio::test]
async fn a_name_with_a_forbidden_address_is_never_dialled() {
    let client = |names: &Names| {
        builder(Duration::from_secs(5)).policy(DestinationPolicy::default()).resolver(names.clone()).build()
    };

    for &text in FORBIDDEN {
        let names = Names::default().with("evil.example", [&[text][..]]);
        let result = attempt(&client(&names).unwrap(), "https://evil.example/").await;

        assert_eq!(result.error_kind(), Some(AttemptErrorKind::RefusedDestination), "{text}");
        // The owner of the endpoint must not learn about the internal network.
        assert!(!result.error().unwrap().to_string().contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_name_that_moves_inside_between_two_look_ups_is_not_followed() {
    let [outside, inside] = same_port(["127.0.0.2", "127.0.0.3"]).await;
    let [outside, inside] = [outside, inside].map(|on| Receiver::on(on, |stream| answer_all(stream, DELIVERED)));
    let names = Names::default().with("rebinding.example", [&["127.0.0.2"][..], &["127.0.0.3"]]);
    let client = on_two_and_three(&names, &["127.0.0.2/32"]);
    let url = format!("http://rebinding.example:{}/", outside.address.port());

    let first = attempt(&client, &url).await;
    let second = attempt(&client, &url).await;

    assert_eq!(first.error_kind(), None, "one look-up: what was checked is what was dialled");
    assert_eq!(second.error_kind(), Some(AttemptErrorKind::RefusedDestination));
    assert_eq!(names.asked("rebinding.example"), 2);
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn of_mixed_answers_the_forbidden_address_is_never_taken() {
    let [outside, inside] = same_port(["127.0.0.2", "127.0.0.3"]).await;
    let port = outside.local_addr().unwrap().port();
    let inside = Receiver::on(inside, |stream| answer_all(stream, DELIVERED));
    let outside = Receiver::on(outside, |stream| answer_all(stream, DELIVERED));
    let names = Names::default()
        .with("mixed.example", [&["127.0.0.3", "::1", "127.0.0.2", "169.254.169.254"][..]])
        .with("down.example", [&["127.0.0.3", "127.0.0.4"][..]]);

    let result = attempt(&on_two_and_three(&names, &["127.0.0.2/32"]), &format!("http://mixed.example:{port}/")).await;
    assert_eq!(result.error_kind(), None);
    // Nor when the allowed one does not answer.
    let result = attempt(&on_two_and_three(&names, &["127.0.0.4/32"]), &format!("http://down.example:{port}/")).await;
    assert_eq!(result.error_kind(), Some(AttemptErrorKind::Connect));

    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_connection_is_used_again_only_for_the_address_that_was_checked() {
    let [first, second] = same_port(["127.0.0.2", "127.0.0.3"]).await;
    let [first, second] = [first, second].map(|on| Receiver::on(on, |stream| answer_all(stream, DELIVERED)));
    let names = Names::default()
        .with("moving.example", [&["127.0.0.2"][..], &["127.0.0.2"], &["127.0.0.3"], &["127.0.0.2"]])
        .with("other.example", [&["127.0.0.2"][..]]);
    let client = on_two_and_three(&names, &["127.0.0.2/31"]);
    let port = first.address.port();

    for _ in 0..4 {
        assert_eq!(attempt(&client, &format!("http://moving.example:{port}/")).await.error_kind(), None);
    }
    assert_eq!((first.connections(), second.connections()), (1, 1));

    // Another name is another connection, even to the same address: a certificate would be for one of them.
    assert_eq!(attempt(&client, &format!("http://other.example:{port}/")).await.error_kind(), None);
    assert_eq!(first.connections(), 2);
}

#[tokio::test]
async fn an_address_that_is_written_as_another_is_dialled_as_what_it_is() {
    let receiver = Receiver::answering(DELIVERED).await;
    let port = receiver.address.port();
    let client = receiver::loopback_client(Duration::from_secs(5));

    for host in ["[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.0.0.1"] {
        assert_eq!(attempt(&client, &format!("http://{host}:{port}/")).await.error_kind(), None, "{host}");
    }
    assert!(receiver.connections() >= 1);
}

#[tokio::test]
async fn the_system_s_resolver_is_held_to_the_policy() {
    let receiver = Receiver::answering(DELIVERED).await;
    let port = receiver.address.port();
    // It knows this name everywhere, by IPv6 as well, which is not allowed here.
    let client = receiver::loopback_client(Duration::from_secs(10));

    assert_eq!(attempt(&client, &format!("http://localhost:{port}/")).await.error_kind(), None);
    assert_eq!(receiver.connections(), 1);
    assert_eq!(attempt(&client, "https://no-such-name.invalid/").await.error_kind(), Some(AttemptErrorKind::Dns));
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_though_no_resolver_is_asked() {
    let receiver = Receiver::answering(DELIVERED).await;
    let port = receiver.address.port();
    // A resolver that would call it public.
    let names = Names::default().with("127.0.0.1", [&["93.184.216.34"]]).with("localhost", [&["127.0.0.1"]]);
    let policy = DestinationPolicy::default().allow_ports(1024..=65535).insecure_plain_http();
    let strict = builder(Duration::from_secs(5)).policy(policy).resolver(names.clone()).build().unwrap();

    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"] {
        let stored = loopback_policy().endpoint(&format!("http://{host}:{port}/")).unwrap();
        let request = tower_webhooks::send::AttemptRequest::new(stored, http::HeaderMap::new(), bytes::Bytes::new());
        let result = tower_webhooks::send::Transport::send(&strict, request).await;
        assert_eq!(result.error_kind(), Some(AttemptErrorKind::RefusedDestination), "{host}");
    }

    assert_eq!((names.asked("127.0.0.1"), receiver.connections()), (0, 0));
}

#[tokio::test]
async fn a_url_that_was_stored_under_a_wider_policy_is_checked_again() {
    let receiver = Receiver::answering(DELIVERED).await;
    let stored = loopback_policy().endpoint(&receiver.url()).unwrap();
    let strict = builder(Duration::from_secs(5)).policy(DestinationPolicy::default()).build().unwrap();

    let request = tower_webhooks::send::AttemptRequest::new(stored, http::HeaderMap::new(), bytes::Bytes::new());
    let result = tower_webhooks::send::Transport::send(&strict, request).await;

    assert_eq!(result.error_kind(), Some(AttemptErrorKind::RefusedDestination));
    assert_eq!(receiver.connections(), 0);
}

// --- Another opinion ----------------------------------------------------------------------------------------------------

/// Where we refuse and Python's `ipaddress` says "global". Each is on purpose; in no case do we accept and Python not, but
/// for NAT64 in Python versions that count its prefix as private.
fn on_purpose(address: IpAddr) -> bool {
    let within = |networks: &[&str]| {
        networks.iter().any(|network| network.parse::<tower_webhooks::send::Network>().unwrap().contains(address))
    };
    match address.to_canonical() {
        // Multicast; protocol assignments as a whole; relays of 6to4; a cloud's platform.
        IpAddr::V4(_) => within(&["224.0.0.0/4", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16"]),
        IpAddr::V6(address) => {
            // Addresses outside 2000::/3 are refused, except NAT64, where the embedded address decides.
            let outside = address.segments()[0] & 0xe000 != 0x2000;
            outside || within(&["2001::/23", "2002::/16", "3fff::/20"]) || address.segments()[5] == 0x5efe
        }
    }
}

#[test]
fn random_addresses_are_judged_as_python_judges_them_but_for_written_exceptions() {
    let count = if is_long() { 1_000_000 } else { 20_000 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut addresses: Vec<IpAddr> = FORBIDDEN.iter().chain(PUBLIC).map(|text| text.parse().unwrap()).collect();
    // Near the edges of the ranges, where mistakes are, and anywhere.
    let edges: Vec<IpAddr> = addresses.clone();
    while addresses.len() < count {
        let edge = edges[random.next() as usize % edges.len()];
        let shift = (random.next() % 65) as i64 - 32;
        addresses.push(match (random.next() % 4, edge) {
            (0, IpAddr::V4(edge)) => Ipv4Addr::from_bits(edge.to_bits().wrapping_add_signed(shift as i32)).into(),
            (0, IpAddr::V6(edge)) => Ipv6Addr::from_bits(edge.to_bits().wrapping_add_signed(shift.into())).into(),
            (1, IpAddr::V6(edge)) => {
                let low = u128::from(random.next());
                Ipv6Addr::from_bits(edge.to_bits() >> 64 << 64 | low).into()
            }
            (2, _) => Ipv6Addr::from_bits(u128::from(random.next()) << 64 | u128::from(random.next())).into(),
            _ => Ipv4Addr::from_bits(random.next() as u32).into(),
        });
    }
    let policy = DestinationPolicy::default();

    let opinions = python(&addresses);

    assert_eq!(opinions.len(), addresses.len());
    let (mut agreed, mut wrong) = (0, Vec::new());
    for (address, theirs) in addresses.into_iter().zip(opinions) {
        let ours = policy.permits_address(address);
        let is_nat64 = matches!(address, IpAddr::V6(address) if address.to_bits() >> 32 == 0x64_ff9b << 64);
        if ours == theirs {
            agreed += 1;
        } else if !(theirs && on_purpose(address) || ours && is_nat64) {
            wrong.push((address, ours));
        }
    }
    assert!(wrong.is_empty(), "{} disagreements, such as {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(agreed > count / 2, "{agreed}");
}

fn python(addresses: &[IpAddr]) -> Vec<bool> {
    const SCRIPT: &str = "\
import sys, ipaddress
for line in sys.stdin:
    address = ipaddress.ip_address(line.strip())
    address = getattr(address, 'ipv4_mapped', None) or address
    print(int(address.is_global))
";
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is missing; install it with: apt-get install -y --no-install-recommends python3");
    let mut input = child.stdin.take().unwrap();
    let text: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "1").collect()
}

fn is_long() -> bool {
    std::env::var_os("TOWER_WEBHOOKS_LONG").is_some()
}

/// The same numbers every time (splitmix64), so that a failure can be seen again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
