//! Upstreams with names: name servers that are dead, addresses that are black holes, and threads that
//! can't be had.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::{Child, Command},
    time::Duration,
};

use rustix::process::{Pid, Signal, getuid};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use self::support::{
    BINARY, Echo, End, Link, NameServer, Network, Nobody, Origin, Process, Scrape,
    binary_for_anybody, connect, echo_once, eventually, get, installed, read_out, skip,
};

/// Threads that look names up, at most.
const RESOLVERS: usize = 6;

/// A command that runs the binary with these files in place of those in `/etc`, in a mount namespace.
struct Etc(TempDir);

impl Etc {
    fn new(files: &[(&str, &str)]) -> Self {
        let etc = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            etc.write(name, text);
        }
        etc
    }

    /// The process sees it: the file stays the same.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn launch(&self, upstream: &str, flags: &[&str]) -> Process {
        let script = "for file in \"$0\"/*; do mount --bind \"$file\" /etc/${file##*/}; done; \
                      exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec", script])
            .arg(self.0.path());
        command
            .args([BINARY, "--listen", "127.0.0.1:0", "--access-log", "all"])
            .args(["--upstream", upstream])
            .args(flags);
        Process::launch(&mut command)
    }
}

/// Name servers in this order, each asked for a second.
fn resolv(servers: &[&str]) -> String {
    let lines = servers.iter().map(|ip| format!("nameserver {ip}\n"));
    lines.collect::<String>() + "options timeout:1 attempts:2\n"
}

fn with_name_server(etc: &str) -> Etc {
    Etc::new(&[
        ("resolv.conf", etc),
        ("hosts", "127.0.0.1 localhost\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ])
}

fn can_mount() -> bool {
    let can = Command::new("unshare").args(["--mount", "true"]).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        skip("no mount namespace to be had (unshare --mount)");
    }
    can
}

fn threads(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

#[test]
fn a_silent_name_server_costs_no_more_than_its_clients_and_is_heard_at_once_when_it_speaks() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        let (server, echo) = (NameServer::silent("127.0.0.1"), Echo::start());
        server.speak(true);
        // A look-up does not end before this test does.
        let etc = with_name_server("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
        let upstream = format!("live-store.example.com:{}", echo.addr().port());
        let process = etc.launch(&upstream, &["--resolve-timeout", "30s"]);
        let established = connect(process.addr());
        echo_once(&established, b"before");

        server.speak(false);
        let (files, tasks) = (process.files(), threads(process.pid()));
        let asked = server.asked();
        let waiting: Vec<_> = (0..100).map(|_| connect(process.addr())).collect();
        eventually("all are served", || {
            let scrape = Scrape::of(process.admin());
            scrape.value("portamento_connections_active") == 101.0
        });
        eventually("the name is looked up", || server.asked() > asked);
        assert_eq!(get(process.admin(), "/ready").status, 503);
        echo_once(&established, b"meanwhile");
        // The look-ups of a name: the first one, and those that begin where it is silent for long.
        assert!(threads(process.pid()) <= tasks + RESOLVERS);
        let more = process.files() - files;
        assert!(more <= 2 * 100 + 4 * RESOLVERS, "{more} descriptors"); // a socket, and its watch
        assert!(server.asked() < asked + 50, "{}", server.asked() - asked);

        server.speak(true);
        for client in &waiting {
            echo_once(client, b"at last");
        }
        echo_once(&connect(process.addr()), b"and everybody else");
        drop(waiting);
        eventually("everything is given back", || process.files() <= files + 4);
    });
}

#[test]
fn a_look_up_has_a_time_limit_of_its_own() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        let (dead, alive) = (
            NameServer::silent("127.0.0.2"),
            NameServer::silent("127.0.0.1"),
        );
        alive.speak(true);
        let origin = Origin::bind();
        let upstream = format!("up.example.org:{}", origin.addr().port());
        // The second one is asked after a second, when a connect would have to be over.
        let etc = with_name_server(&resolv(&["127.0.0.2", "127.0.0.1"]));
        let process = etc.launch(&upstream, &["--connect-timeout", "300ms"]);
        Link::open(process.addr(), &origin).round_trip();
        assert!(dead.asked() > 0 && alive.asked() > 0);

        let etc = with_name_server(&resolv(&["127.0.0.2"]));
        let flags = ["--resolve-timeout", "300ms", "--connect-timeout", "1h"];
        let process = etc.launch(&upstream, &flags);
        let client = connect(process.addr());
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.end(), ("upstream", "resolve", ""));
        let scrape = Scrape::of(process.admin());
        let series = "portamento_upstream_connects_total{result=\"resolve\"}";
        assert_eq!(scrape.value(series), 1.0);
    });
}

#[test]
fn a_name_server_that_does_not_answer_holds_up_nobodys_end() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        let server = NameServer::silent("127.0.0.1");
        let etc = with_name_server("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
        let mut process = etc.launch("up.example.org:1", &["--resolve-timeout", "1h"]);
        let client = connect(process.addr());
        eventually("the name is looked up", || server.asked() > 0);
        process.signal(Signal::INT);
        assert_eq!(process.wait().code(), Some(0)); // within the patience of a test
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    });
}

#[test]
fn names_that_nobody_answers_for_keep_no_other_name_waiting() {
    let Some(network) = Network::new() else {
        return;
    };
    network.inside(|| {
        let (server, echo) = (NameServer::silent("127.0.0.1"), Echo::start());
        let etc = Etc::new(&[
            (
                "resolv.conf",
                "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n",
            ),
            ("hosts", "127.0.0.1 localhost alive.example.org\n"),
            ("nsswitch.conf", "hosts: files dns\n"),
        ]);
        let dead: Vec<_> = (0..2 * RESOLVERS)
            .flat_map(|number| {
                let pair = format!("127.0.0.1:0=dead{number}.example.org:1");
                ["--forward".to_owned(), pair]
            })
            .collect();
        let mut flags: Vec<_> = dead.iter().map(String::as_str).collect();
        flags.extend(["--resolve-timeout", "1h"]);
        let upstream = format!("alive.example.org:{}", echo.addr().port());
        let process = etc.launch(&upstream, &flags);
        let addrs = process.addrs();
        let stuck: Vec<_> = addrs[1..].iter().map(|addr| connect(*addr)).collect();
        eventually("all dead ones are asked for", || {
            server.asked() >= 2 * RESOLVERS
        });
        for _ in 0..5 {
            echo_once(&connect(addrs[0]), b"at once");
        }
        assert_eq!(stuck.len(), 2 * RESOLVERS);
    });
}

#[test]
fn a_name_that_leads_back_is_refused_and_not_followed_round_and_round() {
    if !can_mount() {
        return;
    }
    let etc = Etc::new(&[("hosts", "127.0.0.1 myself.test\n")]);
    let port = Nobody::new().addr().port(); // free again, and soon taken
    let listen = format!("127.0.0.1:{port}");
    let flags = ["--forward", &format!("{listen}=myself.test:{port}")];
    let process = etc.launch("127.0.0.1:1", &flags);
    let client = connect(listen.parse().unwrap());
    assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("upstream", "resolve", "ELOOP"));
    let ready = get(process.admin(), "/ready");
    assert_eq!(ready.status, 503, "{}", ready.body);
    let scrape = Scrape::of(process.admin());
    assert_eq!(scrape.value("portamento_connections_accepted_total"), 1.0);
}

#[test]
fn a_name_that_moves_is_followed_at_the_next_connect() {
    if !can_mount() {
        return;
    }
    let (one, other) = support::eventually_some("two addresses have a port free", || {
        let one = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = one.local_addr().unwrap().port();
        let other = TcpListener::bind(("127.0.0.3", port)).ok()?;
        Some((Origin::from(one), Origin::from(other)))
    });
    let etc = Etc::new(&[("hosts", "127.0.0.2 moves.test\n")]);
    let process = etc.launch(&format!("moves.test:{}", one.addr().port()), &[]);
    for _ in 0..3 {
        Link::open(process.addr(), &one).round_trip();
        etc.write("hosts", "127.0.0.3 moves.test\n");
        Link::open(process.addr(), &other).round_trip();
        etc.write("hosts", "127.0.0.2 moves.test\n");
    }
}

#[test]
fn a_black_hole_beside_an_address_that_listens_keeps_nobody_from_it() {
    if !can_mount() {
        return;
    }
    let found = support::eventually_some("two families have a port free", || {
        let Ok(hole) = SixHole::new() else {
            return Some(None);
        };
        let origin = TcpListener::bind(("127.0.0.1", hole.port())).ok()?;
        Some(Some((hole, Origin::from(origin))))
    });
    let Some((hole, origin)) = found else {
        return skip("no IPv6");
    };
    // The resolver puts ::1 first.
    let etc = Etc::new(&[("hosts", "127.0.0.1 both.test\n::1 both.test\n")]);
    let upstream = format!("both.test:{}", origin.addr().port());
    let process = etc.launch(&upstream, &["--connect-timeout", "1h", "--workers", "1"]);
    let reached = |link: Link| {
        link.round_trip();
        let client = link.client.local_addr().unwrap();
        drop(link);
        process.record_of(client).text("upstream").to_owned()
    };
    let link = Link::open(process.addr(), &origin);
    assert_eq!(reached(link), origin.addr().to_string());
    // What has answered last is tried first from now on, whatever else answers, too.
    let other = hole.open();
    let link = Link::open(process.addr(), &origin);
    assert_eq!(reached(link), origin.addr().to_string());
    // When it refuses, the other one takes over.
    let port = origin.addr().port();
    drop(origin);
    let client = connect(process.addr());
    let server = support::patient(other.accept().unwrap().0.into());
    let link = Link { client, server };
    assert_eq!(
        reached(link),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)).to_string()
    );
}

/// A listener on `::1` whose backlog is full.
struct SixHole {
    listener: Socket,
    backlog: Vec<Socket>,
}

impl SixHole {
    /// # Errors
    /// There is no IPv6.
    fn new() -> std::io::Result<Self> {
        let listener = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())?;
        listener.listen(0)?;
        let (addr, mut backlog) = (listener.local_addr()?, Vec::new());
        loop {
            let filler = Socket::new(Domain::IPV6, Type::STREAM, None)?;
            match filler.connect_timeout(&addr, Duration::from_millis(300)) {
                Ok(()) => backlog.push(filler),
                Err(_) => return Ok(Self { listener, backlog }),
            }
        }
    }

    fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .unwrap()
            .as_socket()
            .unwrap()
            .port()
    }

    /// From now on it accepts.
    fn open(self) -> Socket {
        for _ in &self.backlog {
            self.listener.accept().unwrap();
        }
        self.listener
            .set_read_timeout(Some(support::PATIENCE))
            .unwrap();
        self.listener
    }
}

/// Somebody who has no other process.
const LONER: u32 = 54_398;

#[test]
fn without_a_thread_for_a_look_up_its_client_is_reset_and_the_process_lives() {
    if !getuid().is_root() || !installed("prlimit") {
        return skip("only root can be somebody else");
    }
    let (_dir, binary) = binary_for_anybody();
    let echo = Echo::start();
    let upstream = format!("localhost:{}", echo.addr().port());
    let start = |tasks: usize| {
        let mut command = Command::new("prlimit");
        command.uid(LONER).gid(LONER);
        command.arg(format!("--nproc={tasks}")).arg(&binary);
        command.args(["--listen", "127.0.0.1:0", "--access-log", "all"]);
        command.args(["--upstream", &upstream]);
        Process::launch(&mut command)
    };
    let process = start(1000);
    let tasks = threads(process.pid());
    drop(process);

    // Another process of the same user has the last place.
    let hog = Hog(Command::new("sleep")
        .uid(LONER)
        .arg("1000")
        .spawn()
        .unwrap());
    let mut process = start(tasks + 1);
    for _ in 0..3 {
        let client = connect(process.addr());
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.end(), ("proxy", "resolve", "EAGAIN"));
    }
    let ready = get(process.admin(), "/ready");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("no thread"), "{}", ready.body);
    assert_eq!(get(process.admin(), "/live").status, 200);
    drop(hog);
    echo_once(&connect(process.addr()), b"everything is back");
    drop(process);

    // The drain asks for the upstream, too.
    process = start(tasks);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
}

/// A process that takes a place. Dropping it ends it.
struct Hog(Child);

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
