//! Who is turned away, and how many are let in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    num::NonZeroUsize,
    os::unix::net::UnixStream,
    process::Command,
    thread,
};

use portamento::config::{Config, Engine, ListenAddr};
use socket2::{Domain, Socket, Type};

use self::support::{
    BINARY, Echo, End, Forwarder, Process, can_trace, config_for, connect, echo_once, eventually,
    patient, read_out, skip,
};

fn forwarder(echo: &Echo, adjust: impl FnOnce(&mut Config)) -> Forwarder {
    let mut config = config_for(echo.addr(), Engine::Auto);
    adjust(&mut config);
    Forwarder::start(config)
}

/// A client with this address.
fn connect_from(ip: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    patient(socket.into())
}

fn assert_reset(client: &TcpStream) {
    assert_eq!(read_out(client), (Vec::new(), End::Reset));
}

#[test]
fn each_source_has_so_many_connections_and_no_more() {
    let echo = Echo::start();
    let forwarder = forwarder(&echo, |config| {
        config.max_connections_per_source = NonZeroUsize::new(2);
    });
    let [one, two] = [1, 2].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let open = |ip| connect_from(ip, forwarder.addr());
    let mut clients: Vec<_> = [one, one, two, two].map(open).into();
    for client in &clients {
        echo_once(client, b"one of two");
    }
    for ip in [one, two] {
        assert_reset(&open(ip));
    }
    eventually("each is counted", || forwarder.totals().rejected == 2);

    // Whoever goes makes room for one of its own kind.
    drop(clients.remove(0));
    eventually("it has gone", || forwarder.totals().active == 3);
    echo_once(&open(one), b"the next");
    assert_reset(&open(two));
}

#[test]
fn a_source_s_places_come_back_however_its_connections_end() {
    let echo = Echo::start();
    let forwarder = forwarder(&echo, |config| {
        config.max_connections_per_source = NonZeroUsize::new(1);
    });
    for round in 0..50 {
        let client = connect(forwarder.addr());
        echo_once(&client, b"mine alone");
        if round % 2 == 0 {
            support::reset(client);
        } else {
            drop(client);
        }
        eventually("it has gone", || forwarder.totals().active == 0);
    }
    assert_eq!(forwarder.settled().rejected, 0);
}

#[test]
fn an_ipv4_client_of_a_dual_stack_listener_is_its_ipv4_address() {
    let echo = Echo::start();
    let forwarder = forwarder(&echo, |config| {
        config.forwards[0].listen = ListenAddr::DualStack(0);
        config.max_connections_per_source = NonZeroUsize::new(1);
    });
    let port = forwarder.addr().port();
    let first = connect((Ipv4Addr::LOCALHOST, port).into());
    echo_once(&first, b"4");
    assert_reset(&connect((Ipv4Addr::LOCALHOST, port).into()));
    match TcpStream::connect(("::1", port)) {
        Ok(client) => echo_once(&patient(client), b"6"),
        Err(error) => skip(&format!("no IPv6 here: {error}")),
    }
}

#[test]
fn unix_clients_are_of_no_source() {
    let echo = Echo::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("front");
    let mut command = Command::new(BINARY);
    command.args(["--listen", &format!("unix:{}", path.display())]);
    command.args(["--upstream", &echo.addr().to_string()]);
    command.args(["--max-connections-per-source", "1"]);
    let _process = Process::launch(&mut command);
    let clients = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
    for mut client in &clients {
        client.write_all(b"?").unwrap();
        std::io::Read::read_exact(&mut client, &mut [0]).unwrap();
    }
}

#[test]
fn beyond_the_accept_rate_clients_are_reset_at_once() {
    const RATE: usize = 5;
    const CLIENTS: usize = 40;
    let echo = Echo::start();
    let flags = ["--max-accept-rate", "5", "--log-level", "debug"];
    let process = Process::start(echo.addr(), &flags);
    let mut clients = Vec::new();
    process.frozen(|| {
        // They wait in the backlog, and are all there at once.
        clients = (0..CLIENTS).map(|_| connect(process.addr())).collect();
    });
    eventually("each is let in or turned away", || {
        process.count("connected") + process.count("rejected") == CLIENTS
    });
    let served = process.count("connected");
    assert!((RATE..CLIENTS).contains(&served), "{served} served");
    for line in process.lines_with("rejected") {
        assert_eq!(line.text("reason"), "limit");
    }
    // Tokens come back.
    eventually("another is let in", || {
        let mut client = connect(process.addr());
        client.write_all(b"?").ok();
        std::io::Read::read_exact(&mut client, &mut [0]).is_ok()
    });
}

#[test]
fn who_is_turned_away_takes_no_share_of_the_accept_rate() {
    let echo = Echo::start();
    let forwarder = forwarder(&echo, |config| {
        config.max_accept_rate = NonZeroUsize::new(1);
        config.access.deny = vec!["127.0.0.2/32".parse().unwrap()];
    });
    for _ in 0..20 {
        assert_reset(&connect_from(Ipv4Addr::new(127, 0, 0, 2), forwarder.addr()));
    }
    echo_once(&connect(forwarder.addr()), b"the first");
}

#[test]
fn many_sources_at_once_leave_each_its_places() {
    let echo = Echo::start();
    let forwarder = forwarder(&echo, |config| {
        config.max_connections_per_source = NonZeroUsize::new(1);
    });
    thread::scope(|scope| {
        for last in 1..=4 {
            let (ip, to) = (Ipv4Addr::new(127, 0, 1, last), forwarder.addr());
            scope.spawn(move || {
                let mut opened = 0;
                eventually("it was served a hundred times", || {
                    let mut client = connect_from(ip, to);
                    client.write_all(b"?").ok();
                    opened += usize::from(std::io::Read::read_exact(&mut client, &mut [0]).is_ok());
                    opened == 100
                });
            });
        }
    });
    let totals = forwarder.settled();
    assert_eq!(totals.closed, 400);
}

#[test]
fn whom_the_rules_keep_out_is_reset_and_counted() {
    let echo = Echo::start();
    for (allow, deny, admitted) in [
        (vec!["127.0.0.1/32"], vec![], true),
        (vec!["192.0.2.0/24"], vec![], false),
        (vec![], vec!["127.0.0.0/8"], false),
    ] {
        let mut config = config_for(echo.addr(), Engine::Auto);
        config.access.allow = allow.iter().map(|net| net.parse().unwrap()).collect();
        config.access.deny = deny.iter().map(|net| net.parse().unwrap()).collect();
        config.max_connections = NonZeroUsize::new(1); // a rejected one holds no permit
        let forwarder = Forwarder::start(config);
        for _ in 0..3 {
            let client = connect(forwarder.addr());
            if admitted {
                echo_once(&client, b"welcome");
            } else {
                assert_eq!(read_out(&client), (Vec::new(), End::Reset));
            }
        }
        eventually("each is counted", || {
            let totals = forwarder.totals();
            (totals.accepted, totals.rejected) == if admitted { (3, 0) } else { (0, 3) }
        });
    }
}

#[test]
fn without_ipv6_in_the_kernel_every_address_of_the_host_is_one_of_ipv4() {
    if !can_trace() {
        return;
    }
    let echo = Echo::start();
    let mut command = Command::new("strace");
    // The tracer is a grandchild: what is started, and ended, is the forwarder.
    command.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=socket"]);
    // The first sockets that the process makes are its listeners.
    command.args(["-e", "inject=socket:error=EAFNOSUPPORT:when=1..3+2"]);
    command.args([BINARY, "--listen", ":0", "--upstream"]);
    command.arg(echo.addr().to_string());
    let process = Process::launch_with_admin(&mut command, ":0");
    for addr in [process.addr(), process.admin()] {
        assert_eq!(addr.ip(), Ipv4Addr::UNSPECIFIED);
        connect((Ipv4Addr::LOCALHOST, addr.port()).into());
    }
}

#[test]
fn a_dual_stack_listener_takes_clients_of_both_kinds() {
    let echo = Echo::start();
    let mut config = config_for(echo.addr(), Engine::Auto);
    config.forwards[0].listen = ListenAddr::DualStack(0);
    config.access.allow = vec!["127.0.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()];
    let forwarder = Forwarder::start(config);
    let port = forwarder.addr().port();
    echo_once(&connect((Ipv4Addr::LOCALHOST, port).into()), b"4");
    match TcpStream::connect(("::1", port)) {
        Ok(client) => echo_once(&patient(client), b"6"),
        Err(error) => skip(&format!("no IPv6 here: {error}")),
    }
}
