//! The PROXY protocol: who the client is when a header says so, and what the upstream is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
};

use self::support::{
    BINARY, Echo, End, Link, Origin, PATIENCE, Pattern, Process, connect, echo_once, eventually,
    for_each_engine, proxy_header, read_out, skip,
};

const ACCEPT: [&str; 2] = ["--accept-proxy-protocol", "127.0.0.0/8"];

/// Somebody far away, and where it meant to go.
fn named() -> (SocketAddr, SocketAddr) {
    let source = ([192, 0, 2, 1], 41532).into();
    (source, ([198, 51, 100, 7], 12345).into())
}

fn headers() -> [Vec<u8>; 3] {
    let (source, destination) = named();
    let tlvs = [0xEA, 0, 3, 1, 2, 3];
    let ends = &proxy_header::v2(source, destination)[16..];
    [
        proxy_header::v1(source, destination),
        proxy_header::v2(source, destination),
        proxy_header::v2_block(0x21, 0x11, &[ends, &tlvs].concat()),
    ]
}

/// A client that has sent this.
fn client(to: &Process, bytes: &[u8]) -> TcpStream {
    let mut client = connect(to.addr());
    client.write_all(bytes).unwrap();
    client
}

#[test]
fn the_client_that_a_header_names_is_the_one_of_the_record() {
    let echo = Echo::start();
    for header in headers() {
        let process = Process::start(echo.addr(), &ACCEPT);
        let client = client(&process, &header);
        echo_once(&client, b"hello");
        drop(client);
        let record = process.record_of(named().0);
        assert_eq!(record.end(), ("client", "fin", ""));
        assert_eq!(record.number("bytes_to_upstream"), 5);
        assert_eq!(record.number("bytes_to_client"), 5);
    }
}

#[test]
fn what_follows_a_header_at_once_is_all_there() {
    const COUNT: usize = 8 << 20;
    for_each_engine(|engine| {
        for header in headers() {
            let origin = Origin::bind();
            let engine = format!("{engine:?}").to_lowercase();
            let flags = [&ACCEPT[..], &["--engine", &engine]].concat();
            let process = Process::start(origin.addr(), &flags);
            let pattern = Pattern::new(7);
            let client = client(&process, &[&header, pattern.slice(0, 64 << 10)].concat());
            let server = origin.accept();
            support::pass_to_end(&pattern, &client, &server, 64 << 10..COUNT);
            drop((client, server));
            let record = process.record_of(named().0);
            assert_eq!(record.number("bytes_to_upstream"), COUNT);
        }
    });
}

#[test]
fn a_header_may_come_in_any_two_parts() {
    let echo = Echo::start();
    let flags = [&ACCEPT[..], &["--workers", "1"]].concat();
    let process = Process::start(echo.addr(), &flags);
    let turn = client(&process, &headers()[0]); // the one worker answers: it has had its turn
    for header in headers() {
        let stream = [&header[..], b"rest"].concat();
        for split in 1..stream.len() {
            let mut client = client(&process, &stream[..split]);
            echo_once(&turn, b"?");
            client.write_all(&stream[split..]).unwrap();
            let mut rest = [0; 4];
            client.read_exact(&mut rest).unwrap();
            assert_eq!(&rest, b"rest", "split after {split}");
        }
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let echo = Echo::start();
    let flags = [&ACCEPT[..], &["--workers", "1"]].concat();
    let process = Process::start(echo.addr(), &flags);
    let turn = client(&process, &headers()[0]);
    for header in headers() {
        let mut client = connect(process.addr());
        for byte in header {
            client.write_all(&[byte]).unwrap();
            echo_once(&turn, b"?");
        }
        echo_once(&client, b"hello");
    }
}

#[test]
fn a_header_that_ends_before_its_end_is_none() {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &ACCEPT);
    for header in headers() {
        for cut in 0..header.len() {
            let client = client(&process, &header[..cut]);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_out(&client), (Vec::new(), End::Reset), "after {cut}");
            let record = process.record_of(client.local_addr().unwrap());
            assert_eq!(record.end(), ("client", "proxy_header", ""));
            assert_eq!(record.get("upstream"), None);
        }
    }
    origin.0.set_nonblocking(true).unwrap();
    assert!(origin.0.accept().is_err(), "nobody was forwarded");
}

#[test]
fn a_client_that_is_reset_within_its_header_is_recorded_with_its_errno() {
    let process = Process::start("127.0.0.1:9", &ACCEPT);
    let client = client(&process, b"PROXY TCP4");
    let addr = client.local_addr().unwrap();
    support::reset(client);
    let record = process.record_of(addr);
    assert_eq!(record.end(), ("client", "proxy_header", "ECONNRESET"));
}

#[test]
fn a_header_that_does_not_end_in_time_is_none() {
    let process = Process::start("127.0.0.1:9", &ACCEPT);
    let clients = [&b""[..], b"PROXY TCP4", b"\r\n\r\n\0"].map(|part| client(&process, part));
    for client in clients {
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.end(), ("client", "proxy_header", ""));
        let waited: f64 = record.text("duration_ms").parse().unwrap();
        assert!(waited >= 5000.0, "{waited} ms");
    }
}

#[test]
fn who_speaks_for_itself_is_the_client() {
    let echo = Echo::start();
    let process = Process::start(
        echo.addr(),
        &[&ACCEPT[..], &["--allow", "127.0.0.1"]].concat(),
    );
    for header in [
        proxy_header::v2_block(0x20, 0x00, &[]),
        proxy_header::v2_block(0x20, 0x11, &[0; 12]),
        proxy_header::v2_block(0x21, 0x00, &[]),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
    ] {
        let client = client(&process, &header);
        echo_once(&client, b"health");
        let addr = client.local_addr().unwrap();
        drop(client);
        assert_eq!(process.record_of(addr).end(), ("client", "fin", ""));
    }
}

#[test]
fn other_peers_are_turned_away_whatever_they_send() {
    let flags = [
        "--accept-proxy-protocol",
        "192.0.2.0/24",
        "--log-level",
        "debug",
    ];
    let process = Process::start("127.0.0.1:9", &flags);
    for header in headers() {
        let mut client = connect(process.addr());
        // Whoever is reset before it has sent anything hears of it there.
        if client.write_all(&header).is_ok() {
            assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        }
    }
    eventually("each is counted", || process.count("rejected") == 3);
    for line in process.lines_with("rejected") {
        assert_eq!(line.text("reason"), "proxy_header");
    }
    assert_eq!(process.records().len(), 0);
}

#[test]
fn the_rules_hold_for_the_client_that_a_header_names() {
    let echo = Echo::start();
    // The peer itself would be denied; that it may speak for others is another matter.
    let flags = ["--allow", "192.0.2.0/24", "--deny", "192.0.2.9"];
    let process = Process::start(echo.addr(), &[&ACCEPT[..], &flags].concat());
    let (_, destination) = named();
    for (ip, admitted) in [
        ([192, 0, 2, 1], true),
        ([192, 0, 2, 9], false),
        ([10, 0, 0, 1], false),
    ] {
        let source = (ip, 1).into();
        let client = client(&process, &proxy_header::v2(source, destination));
        if admitted {
            echo_once(&client, b"welcome");
        } else {
            assert_eq!(read_out(&client), (Vec::new(), End::Reset));
            assert_eq!(process.record_of(source).end(), ("proxy", "acl", ""));
        }
    }
}

#[test]
fn each_client_that_headers_name_has_its_own_limit() {
    let echo = Echo::start();
    let flags = [&ACCEPT[..], &["--max-connections-per-source", "1"]].concat();
    let process = Process::start(echo.addr(), &flags);
    let open = |last: u8, port: u16| {
        let source = ([192, 0, 2, last], port).into();
        client(&process, &proxy_header::v1(source, named().1))
    };
    let (first, other) = (open(1, 1), open(2, 1));
    echo_once(&first, b"one");
    echo_once(&other, b"one of another");
    assert_eq!(read_out(open(1, 2)), (Vec::new(), End::Reset));
    let record = process.record_of(([192, 0, 2, 1], 2).into());
    assert_eq!(record.end(), ("proxy", "source_limit", ""));
    drop(first);
    process.record_of(([192, 0, 2, 1], 1).into());
    eventually("there is room again", || {
        let mut again = open(1, 3);
        again.write_all(b"?").ok();
        again.read_exact(&mut [0]).is_ok()
    });
}

/// Starts it for clients of IPv4 and IPv6.
fn announcing(version: &str, upstream: SocketAddr, listen: &str) -> Process {
    let mut command = Command::new(BINARY);
    command.args(["--listen", listen, "--upstream", &upstream.to_string()]);
    command.args(["--proxy-protocol", version, "--access-log", "all"]);
    Process::launch(&mut command)
}

fn receive(mut from: &TcpStream, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    from.read_exact(&mut received).unwrap();
    assert_eq!(received, expected);
}

#[test]
fn the_upstream_is_told_of_the_client_before_its_first_byte() {
    let origin = Origin::bind();
    for (version, header) in [
        ("v1", proxy_header::v1 as fn(_, _) -> _),
        ("v2", proxy_header::v2),
    ] {
        for listen in ["127.0.0.1:0", ":0"] {
            let process = announcing(version, origin.addr(), listen);
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, process.addr().port()));
            let link = Link::open(to, &origin);
            let source = link.client.local_addr().unwrap();
            receive(&link.server, &header(source, to));
            link.round_trip();
            drop(link);
            eventually("its record is written", || process.records().len() == 1);
            // The header is nobody's byte.
            assert_eq!(process.records()[0].number("bytes_to_upstream"), 4);
        }
    }
    let process = announcing("v1", origin.addr(), ":0");
    let Ok(client) = TcpStream::connect(("::1", process.addr().port())) else {
        return skip("no IPv6 here");
    };
    let header = proxy_header::v1(client.local_addr().unwrap(), client.peer_addr().unwrap());
    receive(&origin.accept(), &header);
}

#[test]
fn the_upstream_is_told_of_a_client_that_says_nothing() {
    let origin = Origin::bind();
    let process = announcing("v1", origin.addr(), "127.0.0.1:0");
    let link = Link::open(process.addr(), &origin);
    link.client.shutdown(Shutdown::Write).unwrap();
    let header = proxy_header::v1(link.client.local_addr().unwrap(), process.addr());
    assert_eq!(read_out(&link.server), (header, End::Fin));
}

#[test]
fn the_upstream_is_told_that_a_client_came_by_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("front");
    let name = path.as_os_str().as_encoded_bytes();
    let names = [&[0; 108][..], name, &vec![0; 108 - name.len()]].concat();
    for (version, header) in [
        ("v1", b"PROXY UNKNOWN\r\n".to_vec()),
        ("v2", proxy_header::v2_block(0x21, 0x31, &names)),
    ] {
        let origin = Origin::bind();
        let process = announcing(version, origin.addr(), &format!("unix:{}", path.display()));
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"hello").unwrap();
        receive(&origin.accept(), &[&header[..], b"hello"].concat());
        drop((client, process));
    }
}

#[test]
fn a_chain_passes_on_who_the_client_is_and_where_it_meant_to_go() {
    let origin = Origin::bind();
    let flags = [&ACCEPT[..], &["--proxy-protocol", "v1"]].concat();
    let second = Process::start(origin.addr(), &flags);
    let first = announcing("v2", second.addr(), "127.0.0.1:0");
    let link = Link::open(first.addr(), &origin);
    let source = link.client.local_addr().unwrap();
    receive(&link.server, &proxy_header::v1(source, first.addr()));
    link.round_trip();
    drop(link);
    for process in [&first, &second] {
        assert_eq!(process.record_of(source).end().1, "fin");
    }
}
