//! The end of the process: what SIGTERM and SIGINT do to what lives, what comes, and who comes
//! after; and what a service manager passes on and hears.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::PathBuf,
    process::Command,
};

use rustix::process::Signal;
use support::{BINARY, Echo, PATIENCE, Process, eventually};

/// A client whose first byte has gone there and back, so that its connection stands end to end.
fn client(addr: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    echo(&mut client);
    client
}

fn echo(client: &mut TcpStream) {
    client.write_all(b"?").unwrap();
    let mut answer = [0];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"?");
}

fn was_reset(mut client: TcpStream) -> bool {
    client
        .read(&mut [0])
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

fn refused(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn drain(process: &Process) {
    process.signal(Signal::TERM);
    eventually("the drain has begun", || process.count("draining") > 0);
}

#[test]
fn sigterm_keeps_serving_until_the_upstream_is_gone() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &[]);
    let mut old = client(process.addr());
    drain(&process);
    // Clients still dial while the upstream shuts down: they are served.
    let mut new = client(process.addr());
    echo(&mut old);
    drop(upstream); // its connections end, and it refuses
    assert_eq!(new.read(&mut [0]).unwrap(), 0);
    assert_eq!(old.read(&mut [0]).unwrap(), 0);
    drop((old, new));
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count("cutting what has not ended"), 0);
    assert!(
        process
            .records()
            .iter()
            .all(|record| record.text("reason") == "fin")
    );
}

#[test]
fn sigterm_with_nobody_there_ends_the_process() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &[]);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_drain_that_takes_too_long_cuts_and_says_so() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &["--drain-timeout", "50ms"]);
    let client = client(process.addr());
    let addr = client.local_addr().unwrap();
    process.signal(Signal::TERM);
    assert!(was_reset(client));
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.record_of(addr).end(), ("proxy", "drain", ""));
    let said = process.lines_with("cutting what has not ended");
    assert_eq!(said[0].number("connections"), 1);
    assert_eq!(process.lines_with("stopped")[0].number("failed"), 1);
}

#[test]
fn sigint_refuses_newcomers_and_cuts_the_rest_after_a_moment() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &[]);
    let mut client = client(process.addr());
    process.signal(Signal::INT);
    eventually("the port is closed", || refused(process.addr()));
    echo(&mut client); // it has a second yet
    assert!(was_reset(client));
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn sigint_hurries_a_drain_and_a_second_one_ends_it() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &["--drain-timeout", "1h"]);
    let client = client(process.addr());
    drain(&process);
    process.signal(Signal::INT);
    eventually("it hurries", || process.count("stopping") > 0);
    process.signal(Signal::INT);
    assert!(was_reset(client));
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn with_reuse_port_a_successor_takes_over_and_nobody_is_refused() {
    let upstream = Echo::start();
    let mut old = Process::start(upstream.addr(), &["--reuse-port"]);
    let addr = old.addr();
    let mut before = client(addr);
    let mut successor = Command::new(BINARY);
    successor.args([
        "--reuse-port",
        "--access-log",
        "all",
        "--listen",
        &addr.to_string(),
    ]);
    let new = Process::launch(successor.args(["--upstream", &upstream.addr().to_string()]));
    drain(&old);
    let served = |process: &Process| process.records().len();
    let (by_old, by_new) = (served(&old), served(&new));
    eventually("the old one has left the port", || {
        drop(client(addr));
        eventually("the client is accounted for", || {
            served(&old) + served(&new) > by_old + by_new
        });
        served(&new) >= by_new + 10 // ten of two listeners in a row would be chance
    });
    echo(&mut before); // the old connection lives on with the old process
    drop(before);
    assert_eq!(old.wait().code(), Some(0));
}

/// A command that runs the forwarder with `socket` as the one that systemd would pass on.
fn socket_activated(socket: impl Into<OwnedFd>, upstream: SocketAddr) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#)
        .arg(BINARY)
        .args(["--upstream", &upstream.to_string(), "--access-log", "all"])
        .stdin(socket.into());
    command
}

#[test]
fn an_inherited_socket_is_served_and_closed_at_once_by_a_drain() {
    let upstream = Echo::start();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let ours = socket.try_clone().unwrap();
    let mut process = Process::launch(&mut socket_activated(socket, upstream.addr()));
    let mut client = client(addr);
    drain(&process);
    assert_eq!(process.lines_with("draining")[0].text("successor"), "true");
    // The socket is still open here: whoever dials now is for the successor.
    let waiting = TcpStream::connect(addr).unwrap();
    ours.set_nonblocking(true).unwrap();
    eventually("the newcomer is left to the successor", || {
        ours.accept().is_ok()
    });
    drop(waiting);
    echo(&mut client);
    drop(client);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn inherited_sockets_must_match_the_pairs() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = socket_activated(socket, upstream);
    command.args(["--forward", &format!("127.0.0.1:0={upstream}")]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("LISTEN_FDS passes 1 sockets on, but 2 are"),
        "{said}"
    );
}

#[test]
fn a_descriptor_that_no_client_can_come_by_is_refused_by_its_number() {
    let upstream = SocketAddr::from(([127, 0, 0, 1], 9));
    let useless: [OwnedFd; 2] = [
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        tempfile::tempfile().unwrap().into(),
    ];
    for descriptor in useless {
        let output = socket_activated(descriptor, upstream).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("error: LISTEN_FDS: descriptor 3 is no TCP or unix stream socket"),
            "{said}"
        );
    }
}

/// What a service manager would hear.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            path,
            _directory: directory,
        }
    }

    fn start(&self, upstream: SocketAddr, watchdog: &str) -> Process {
        let mut command = Command::new(BINARY);
        command.args(["--listen", "127.0.0.1:0", "--upstream"]);
        command.arg(upstream.to_string());
        command.env("WATCHDOG_USEC", watchdog);
        Process::launch(command.env("NOTIFY_SOCKET", &self.path))
    }

    fn hear(&self) -> String {
        let mut news = [0; 256];
        let count = self.socket.recv(&mut news).unwrap();
        String::from_utf8_lossy(&news[..count]).trim().to_owned()
    }
}

#[test]
fn a_service_manager_hears_of_the_start_and_of_the_drain() {
    let manager = Manager::new();
    let upstream = Echo::start();
    let mut process = manager.start(upstream.addr(), "0");
    assert_eq!(manager.hear(), "READY=1");
    let client = client(process.addr());
    process.signal(Signal::TERM);
    assert_eq!(manager.hear(), "STOPPING=1");
    // A drain may take longer than the manager's own patience, and says so again and again.
    assert_eq!(manager.hear(), "EXTEND_TIMEOUT_USEC=10000000");
    assert_eq!(manager.hear(), "EXTEND_TIMEOUT_USEC=10000000");
    drop(client);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_watchdog_is_fed_while_every_worker_keeps_up() {
    let manager = Manager::new();
    let upstream = Echo::start();
    let process = manager.start(upstream.addr(), "300000");
    assert_eq!(manager.hear(), "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    let Some(strace) = process.stick_worker() else {
        return;
    };
    let heard_nothing = || {
        manager.socket.set_nonblocking(true).unwrap();
        let nothing = manager.socket.recv(&mut [0; 256]).is_err();
        manager.socket.set_nonblocking(false).unwrap();
        nothing
    };
    eventually("it is not fed any more", || {
        heard_nothing() && process.count("a worker is stuck; the watchdog is not fed") > 0
    });
    drop(strace);
    assert_eq!(manager.hear(), "WATCHDOG=1");
}
