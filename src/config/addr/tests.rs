use std::net::SocketAddrV6;

use proptest::prelude::*;

use super::*;

fn name(host: &str, port: u16) -> UpstreamAddr {
    UpstreamAddr::Name {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn listeners_have_addresses() {
    let ip = |text: &str| ListenAddr::Ip(text.parse().unwrap());
    for (text, addr) in [
        ("0.0.0.0:12345", ip("0.0.0.0:12345")),
        ("127.0.0.1:0", ip("127.0.0.1:0")),
        ("[::]:80", ip("[::]:80")),
        ("[fe80::1%2]:80", ip("[fe80::1%2]:80")),
        (":12345", ListenAddr::DualStack(12345)),
        (":0", ListenAddr::DualStack(0)),
        ("unix:/run/x.sock", ListenAddr::Unix("/run/x.sock".into())),
        ("unix:x", ListenAddr::Unix("x".into())),
    ] {
        assert_eq!(text.parse(), Ok(addr.clone()), "{text}");
        assert_eq!(addr.to_string(), text);
    }
}

#[test]
fn a_zone_is_kept() {
    let Ok(ListenAddr::Ip(SocketAddr::V6(addr))) = "[fe80::1%7]:80".parse() else {
        panic!("not an IPv6 address");
    };
    let expected = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7);
    assert_eq!(addr, expected);
}

#[test]
fn upstreams_may_have_names() {
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    assert_eq!(longest.len(), 253);
    for (text, addr) in [
        (
            "127.0.0.1:9095",
            UpstreamAddr::Ip("127.0.0.1:9095".parse().unwrap()),
        ),
        (
            "[::1]:9095",
            UpstreamAddr::Ip("[::1]:9095".parse().unwrap()),
        ),
        ("localhost:9095", name("localhost", 9095)),
        (
            "live-store-0.tempo.svc.:1",
            name("live-store-0.tempo.svc.", 1),
        ),
        ("_grpc.1a.EXAMPLE:65535", name("_grpc.1a.EXAMPLE", 65535)),
        (&format!("{longest}:1"), name(&longest, 1)),
        ("unix:./x.sock", UpstreamAddr::Unix("./x.sock".into())),
    ] {
        assert_eq!(text.parse(), Ok(addr.clone()), "{text}");
        assert_eq!(addr.to_string(), text);
    }
}

#[test]
fn an_upstream_port_alone_is_on_localhost() {
    assert_eq!(":9095".parse(), Ok(name("localhost", 9095)));
}

#[test]
fn what_is_no_address_is_refused_on_both_sides() {
    let port = |text: &str| AddrError::Port(text.to_owned());
    let no_port = |text: &str| AddrError::NoPort(text.to_owned());
    let bad_name = |text: &str| AddrError::Name(text.to_owned());
    let v6 = |text: &str| AddrError::V6(text.to_owned());
    let long_label = "a".repeat(64);
    for (text, error) in [
        ("", no_port(":9095")),
        ("localhost", no_port("localhost:9095")),
        ("127.0.0.1", no_port("127.0.0.1:9095")),
        ("9095", no_port(":9095")),
        ("[::1]", no_port("[::1]:9095")),
        ("[::1]9095", no_port("[::1]:9095")),
        (":", port("")),
        ("127.0.0.1:", port("")),
        ("127.0.0.1:x", port("x")),
        ("127.0.0.1:+80", port("+80")),
        ("127.0.0.1:-1", port("-1")),
        ("127.0.0.1:65536", port("65536")),
        ("[::1]:65536", port("65536")),
        ("::1:80", AddrError::Brackets),
        ("::1", AddrError::Brackets),
        ("fe80::1%2:80", AddrError::Brackets),
        ("[::1:80", AddrError::Brackets),
        ("[]:80", v6("")),
        ("[127.0.0.1]:80", v6("127.0.0.1")),
        ("[::1::]:80", v6("::1::")),
        ("[fe80::1%eth0]:80", AddrError::Zone("eth0".to_owned())),
        ("[fe80::1%]:80", AddrError::Zone(String::new())),
        (
            "[::ffff:127.0.0.1]:80",
            AddrError::Mapped(Ipv4Addr::LOCALHOST),
        ),
        (
            "224.0.0.1:80",
            AddrError::NotUnicast("224.0.0.1".parse().unwrap()),
        ),
        (
            "255.255.255.255:80",
            AddrError::NotUnicast(Ipv4Addr::BROADCAST.into()),
        ),
        (
            "[ff02::1]:80",
            AddrError::NotUnicast("ff02::1".parse().unwrap()),
        ),
        ("http://localhost:80", AddrError::Url),
        ("10.0.0.256:80", bad_name("10.0.0.256")),
        ("10.0.1:80", bad_name("10.0.1")),
        ("a b:80", bad_name("a b")),
        ("-a:80", bad_name("-a")),
        ("a-:80", bad_name("a-")),
        ("a..b:80", bad_name("a..b")),
        (".:80", bad_name(".")),
        ("münchen:80", bad_name("münchen")),
        (&format!("{long_label}:80"), bad_name(&long_label)),
        ("unix:", AddrError::NoPath),
        ("unix:@x", AddrError::Abstract),
        ("unix:/run/", AddrError::Directory),
        ("unix:/", AddrError::Directory),
        ("unix:.", AddrError::Directory),
        ("unix:/run/..", AddrError::Directory),
    ] {
        assert_eq!(text.parse::<ListenAddr>(), Err(error.clone()), "{text}");
        assert_eq!(text.parse::<UpstreamAddr>(), Err(error), "{text}");
    }
}

#[test]
fn a_name_has_at_most_253_bytes() {
    let host = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62));
    let error = AddrError::Name(host.clone());
    assert_eq!(format!("{host}:80").parse::<UpstreamAddr>(), Err(error));
}

#[test]
fn a_unix_path_fits_into_its_structure() {
    let longest = "x".repeat(107);
    let addr = ListenAddr::Unix(longest.as_str().into());
    assert_eq!(format!("unix:{longest}").parse(), Ok(addr));
    let error = AddrError::PathLength(108);
    assert_eq!(format!("unix:x{longest}").parse::<ListenAddr>(), Err(error));
}

#[test]
fn only_listeners_take_port_0_and_no_names() {
    for text in ["127.0.0.1:0", "[::1]:0", ":0", "localhost:0"] {
        let result = text.parse::<UpstreamAddr>();
        assert_eq!(result, Err(AddrError::NoPortToConnectTo), "{text}");
    }
    let result = "localhost:80".parse::<ListenAddr>();
    assert_eq!(result, Err(AddrError::NameToListenOn));
}

#[test]
fn a_pair_is_split_at_its_first_equals_sign() {
    let pair: Forward = ":1=unix:/a=b".parse().unwrap();
    assert_eq!(pair.listen, ListenAddr::DualStack(1));
    assert_eq!(pair.upstream, UpstreamAddr::Unix("/a=b".into()));
    assert_eq!(pair.to_string(), ":1=unix:/a=b");

    for (text, error) in [
        ("", AddrError::NotAPair),
        (":1", AddrError::NotAPair),
        (":1=", AddrError::NoPort(":9095".to_owned())),
        ("=:1", AddrError::NoPort(":9095".to_owned())),
        (":1=:0", AddrError::NoPortToConnectTo),
        ("a:1=:2", AddrError::NameToListenOn),
    ] {
        assert_eq!(text.parse::<Forward>(), Err(error), "{text}");
    }
}

fn ports() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn socket_addrs() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<Ipv4Addr>(), ports()).prop_map(|(ip, port)| SocketAddr::new(ip.into(), port)),
        (any::<std::net::Ipv6Addr>(), ports(), any::<u32>())
            .prop_map(|(ip, port, zone)| SocketAddrV6::new(ip, port, 0, zone).into()),
    ]
    .prop_filter("one host", |addr| unicast(*addr).is_ok())
}

proptest! {
    #[test]
    fn listeners_shown_read_back(
        addr in prop_oneof![
            socket_addrs().prop_map(ListenAddr::Ip),
            any::<u16>().prop_map(ListenAddr::DualStack),
            "(/[a-z=,: ]{1,9}){0,3}/[a-z@]{1,9}".prop_map(|path| ListenAddr::Unix(path.into())),
        ]
    ) {
        prop_assert_eq!(addr.to_string().parse(), Ok(addr));
    }

    #[test]
    fn upstreams_shown_read_back(
        addr in prop_oneof![
            socket_addrs().prop_map(UpstreamAddr::Ip),
            ("([a-z0-9]{1,9}[.]){0,3}[a-z]{1,9}[.]?", ports())
                .prop_map(|(host, port)| UpstreamAddr::Name { host, port }),
            "[a-z]{1,9}".prop_map(|path| UpstreamAddr::Unix(path.into())),
        ]
    ) {
        prop_assert_eq!(addr.to_string().parse(), Ok(addr));
    }

    #[test]
    fn no_text_panics(text in "(unix:|\\[|\\]|:|%|=|\\.|[0-9]{1,6}|[a-zé/@-]){0,12}") {
        // Whatever is taken is shown as something that is taken again, and means the same.
        if let Ok(pair) = text.parse::<Forward>() {
            prop_assert_eq!(pair.to_string().parse(), Ok(pair));
        }
        if let Ok(addr) = text.parse::<UpstreamAddr>() {
            prop_assert_eq!(addr.to_string().parse(), Ok(addr));
        }
    }
}
