//! How an upstream is reached that is not there: never by meeting oneself, for nobody who has left,
//! and with the blame where it belongs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
};

use rustix::{net::listen, process::Signal};
use socket2::{Domain, Socket, Type};

use self::support::{
    BINARY, BlackHole, End, Link, Network, Nobody, Origin, Process, Scrape, connect, eventually,
    exchange, patient, read_out, reset, set_ephemeral_ports,
};

/// The one port that the kernel has for outgoing connections, where a test says so.
const ONLY: u16 = 50_002;

fn only_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, ONLY).into()
}

/// Connects from a port that is no ephemeral one, and from an address of its own: what others bind
/// stays free.
fn connect_from(port: u16, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), port)).into())
        .unwrap();
    socket.connect(&to.into()).unwrap();
    patient(socket.into())
}

fn status_of_ready(port: u16, admin: SocketAddr) -> String {
    let mut stream = connect_from(port, admin);
    write!(stream, "GET /ready HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_upstream_that_is_only_oneself_is_refused_and_its_port_stays_free() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        set_ephemeral_ports(ONLY, ONLY); // whoever connects is given that one
        let mut process = Process::launch(
            Command::new(BINARY)
                .args(["--listen", "127.0.0.1:20000", "--access-log", "all"])
                .args(["--upstream", &only_port().to_string()])
                .args(["--admin", "127.0.0.1:20001"]),
        );
        for port in 20_010..20_015 {
            let client = connect_from(port, process.addr());
            assert_eq!(read_out(&client), (Vec::new(), End::Reset));
            let record = process.record_of(client.local_addr().unwrap());
            assert_eq!(record.end(), ("upstream", "refused", "ECONNREFUSED"));
        }
        let ready = status_of_ready(20_020, process.admin());
        assert!(
            ready.contains(" 503 ") && ready.contains("refused"),
            "{ready}"
        );
        let check = Command::new(BINARY)
            .args(["check", "--admin", "off", "--listen", "127.0.0.1:20002"])
            .args(["--upstream", &only_port().to_string()])
            .output();
        let found = String::from_utf8(check.unwrap().stdout).unwrap();
        assert!(found.contains("connection refused"), "{found}");
        assert!(found.contains("warning  upstream-port"), "{found}");

        // Nothing of all that keeps the server from its port.
        let origin = Nobody::at(only_port()).unwrap().listen();
        set_ephemeral_ports(51_000, 51_100);
        let client = connect_from(20_030, process.addr());
        let server = origin.accept();
        Link { client, server }.round_trip();
        process.signal(Signal::INT);
        process.wait();
    });
}

#[test]
fn without_a_port_to_connect_from_the_blame_is_the_hosts() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        let origin = Origin(std::net::TcpListener::bind("127.0.0.1:20000").unwrap());
        set_ephemeral_ports(ONLY, ONLY);
        let process = Process::launch(
            Command::new(BINARY)
                .args(["--listen", "127.0.0.1:20001", "--access-log", "all"])
                .args(["--upstream", "127.0.0.1:20000", "--admin", "off"]),
        );
        let client = connect_from(20_010, process.addr());
        let (server, _) = origin.0.accept().unwrap();
        let first = Link {
            client,
            server: patient(server),
        };
        let client = connect_from(20_011, process.addr());
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.end(), ("proxy", "connect_error", "EADDRNOTAVAIL"));
        first.round_trip();

        // A reset gives the port back at once.
        let client = first.client.local_addr().unwrap();
        reset(first.client);
        process.record_of(client);
        drop(first.server);
        let client = connect_from(20_012, process.addr());
        let (server, _) = origin.0.accept().unwrap();
        let server = patient(server);
        Link { client, server }.round_trip();
    });
}

/// A forwarder in front of nobody, which goes on trying.
fn trying(nobody: &Nobody, flags: &[&str]) -> Process {
    Process::start(nobody.addr(), &[&["--connect-retry", "1h"], flags].concat())
}

fn active(process: &Process) -> f64 {
    Scrape::of(process.admin()).value("portamento_connections_active")
}

#[test]
fn clients_that_leave_while_the_upstream_refuses_are_let_go() {
    let nobody = Nobody::new();
    let process = trying(&nobody, &[]);
    let files = process.files();
    let mut stays = connect(process.addr());
    stays.write_all(b"I stay").unwrap();
    for resets in [true, false].repeat(5) {
        let mut client = connect(process.addr());
        client.write_all(b"GET /").unwrap();
        let addr = client.local_addr().unwrap();
        let errno = match resets {
            true => {
                reset(client);
                "ECONNRESET"
            }
            false => {
                drop(client);
                ""
            }
        };
        let record = process.record_of(addr);
        assert_eq!(record.end(), ("client", "gone", errno));
        assert_eq!(record.get("connect_ms"), None);
    }
    eventually("they give back what they held", || {
        active(&process) == 1.0 && process.files() <= files + 2 // the one that stays, and its watch
    });
    let scrape = Scrape::of(process.admin());
    let series = "portamento_upstream_connects_total{result=\"cut\"}";
    assert_eq!(scrape.value(series), 10.0);

    // The upstream is dialled for whoever is there.
    let origin = nobody.listen();
    let mut server = origin.accept();
    let mut said = [0; 6];
    server.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"I stay");
    let link = Link {
        client: stays,
        server,
    };
    link.round_trip();
    origin.0.set_nonblocking(true).unwrap();
    assert!(origin.0.accept().is_err(), "a dial for nobody");
}

#[test]
fn a_client_that_leaves_makes_room_for_the_next() {
    let nobody = Nobody::new();
    let process = trying(&nobody, &["--max-connections", "1"]);
    let first = connect(process.addr());
    eventually("it is served", || active(&process) == 1.0);
    let mut second = connect(process.addr());
    second.write_all(b"second").unwrap();
    drop(first);
    let origin = nobody.listen();
    // The first one may have been reached in the very moment in which it left.
    let server = support::eventually_some("the second is served", || {
        let mut server = origin.accept();
        let mut said = [0; 6];
        matches!(server.read(&mut said), Ok(6)).then_some(server)
    });
    exchange(&server, &second, b"served");
}

#[test]
fn what_a_client_says_while_it_waits_arrives_in_whole() {
    let nobody = Nobody::new();
    let process = trying(&nobody, &[]);
    let mut client = connect(process.addr());
    let refused = || {
        // Each new one is dialled for at once: time passes for the one that waits.
        let other = connect(process.addr());
        let addr = other.local_addr().unwrap();
        reset(other);
        process.record_of(addr);
    };
    for _ in 0..10 {
        client.write_all(&[7; 1000]).unwrap();
        refused();
    }
    let origin = nobody.listen();
    let mut server = origin.accept();
    let mut said = vec![0; 10_000];
    server.read_exact(&mut said).unwrap();
    assert!(said.iter().all(|byte| *byte == 7));
    let link = Link { client, server };
    link.round_trip();
    link.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&link.server), (Vec::new(), End::Fin));
    exchange(&link.server, &link.client, b"the last word");
    drop(link.server);
    assert_eq!(read_out(&link.client), (Vec::new(), End::Fin));
}

#[test]
fn a_client_that_resets_while_its_connect_is_under_way_is_let_go() {
    let hole = BlackHole::new();
    let process = Process::start(hole.addr(), &["--connect-timeout", "1h"]);
    let client = connect(process.addr());
    let addr = client.local_addr().unwrap();
    eventually("it is served", || active(&process) == 1.0);
    reset(client);
    assert_eq!(
        process.record_of(addr).end(),
        ("client", "gone", "ECONNRESET")
    );
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_is_served_by_a_slow_upstream() {
    let hole = BlackHole::new();
    let process = Process::start(hole.addr(), &["--connect-timeout", "1h"]);
    let mut client = connect(process.addr());
    client.write_all(b"a question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    eventually("it is served", || active(&process) == 1.0);
    let origin = hole.open();
    let server = origin.accept();
    assert_eq!(read_out(&server), (b"a question".to_vec(), End::Fin));
    (&server).write_all(b"the answer").unwrap();
    drop(server);
    assert_eq!(read_out(&client), (b"the answer".to_vec(), End::Fin));
}

#[test]
fn a_client_of_a_unix_socket_may_leave_as_well() {
    let (nobody, dir) = (Nobody::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("listen.sock");
    let process = Process::launch(
        Command::new(BINARY)
            .args(["--listen", &format!("unix:{}", path.display())])
            .args(["--upstream", &nobody.addr().to_string()])
            .args(["--connect-retry", "1h", "--access-log", "all"]),
    );
    for asks in [true, false] {
        let before = process.records().len();
        let mut client = UnixStream::connect(&path).unwrap();
        if asks {
            client.write_all(b"GET /").unwrap();
        }
        drop(client);
        eventually("it is let go", || process.records().len() == before + 1);
        let records = process.records();
        assert_eq!(records.last().unwrap().end(), ("client", "gone", ""));
    }
}

#[test]
fn many_who_wait_find_the_upstream_when_it_is_back() {
    const WAIT: u16 = 300;
    let nobody = Nobody::new();
    let process = trying(&nobody, &["--connect-timeout", "1h"]);
    let clients: Vec<_> = (0..WAIT).map(|_| connect(process.addr())).collect();
    eventually("all wait", || active(&process) == f64::from(WAIT));
    let origin = nobody.listen();
    listen(&origin.0, WAIT.into()).unwrap(); // all may come at once
    let servers: Vec<_> = (0..WAIT).map(|_| origin.accept()).collect();
    drop(servers);
    for client in &clients {
        assert_eq!(read_out(client), (Vec::new(), End::Fin));
    }
}

#[test]
fn many_who_wait_for_a_name_are_all_served_before_their_time_is_over() {
    const WAIT: u16 = 400;
    let nobody = Nobody::new();
    let upstream = format!("localhost:{}", nobody.addr().port());
    // A connect by name is not over at once: one that is on its way keeps none of the others waiting.
    let process = Process::start(upstream, &["--connect-retry", "5s"]);
    let clients: Vec<_> = (0..WAIT).map(|_| connect(process.addr())).collect();
    eventually("all wait", || active(&process) == f64::from(WAIT));
    let origin = nobody.listen();
    listen(&origin.0, WAIT.into()).unwrap(); // all may come at once
    let servers: Vec<_> = (0..WAIT).map(|_| origin.accept()).collect();
    drop(servers);
    for client in &clients {
        assert_eq!(read_out(client), (Vec::new(), End::Fin));
    }
}
