//! A service manager is told, and never waited for.

use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::Command,
};

use rustix::process::Signal;

use super::support::{
    BINARY, Echo, PATIENCE, Process, echo_once, echoed, eventually, eventually_some, get,
};

/// Starts a forwarder whose manager is at `notify`.
fn start(notify: &str, watchdog_usec: &str, upstream: &Echo) -> Process {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--upstream"]);
    command.arg(upstream.addr().to_string());
    command.env("WATCHDOG_USEC", watchdog_usec);
    Process::launch(command.env("NOTIFY_SOCKET", notify))
}

/// What a manager reads next, if there is anything.
fn heard(manager: &UnixDatagram) -> Option<String> {
    let mut news = [0; 256];
    match manager.recv(&mut news) {
        Ok(count) => Some(String::from_utf8_lossy(&news[..count]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// Fills the queue of whoever reads at `path`.
fn fill(path: &Path) {
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"X=1", path).is_ok() {}
}

const DEAF: &str = "the service manager at NOTIFY_SOCKET does not take all that it is told";

#[test]
fn a_manager_that_reads_nothing_holds_up_nothing_and_hears_later_what_matters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let upstream = Echo::start();

    // There is no room from the start on, and the watchdog is due every 10 ms.
    fill(&path);
    let mut process = start(path.to_str().unwrap(), "30000", &upstream);
    eventually("it says that nobody reads", || process.count(DEAF) > 0);
    let client = echoed(process.addr());
    assert_eq!(get(process.admin(), "/live").status, 200);
    let hear = |news: &str| {
        eventually(news, || heard(&manager).as_deref() == Some(news));
    };
    hear("READY=1");
    hear("WATCHDOG=1");

    // It fills the queue by itself. The end is told all the same, when there is room.
    eventually("there is no room", || {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        sender.send_to(b"X=1", &path).is_err()
    });
    process.signal(Signal::TERM);
    eventually("it drains", || process.count("draining") > 0);
    echo_once(&client, b"still there");
    hear("STOPPING=1");
    hear("WATCHDOG=1");

    // And nobody reads again: the end is reached.
    process.signal(Signal::INT);
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(DEAF), 1, "once is enough");
}

#[test]
fn an_abstract_socket_is_told_as_well() {
    let name = format!("portamento-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = Echo::start();
    let mut process = start(&format!("@{name}"), "0", &upstream);
    assert_eq!(heard(&manager).as_deref(), Some("READY=1"));
    process.signal(Signal::TERM);
    assert_eq!(heard(&manager).as_deref(), Some("STOPPING=1"));
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(DEAF), 0);
}

#[test]
fn a_manager_that_is_gone_is_warned_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let upstream = Echo::start();
    let mut process = start(path.to_str().unwrap(), "30000", &upstream);
    eventually("it says so", || process.count(DEAF) > 0);
    let client = echoed(process.addr());

    // One that comes later is told what is still to be told.
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let news = eventually_some("it is told", || heard(&manager));
    assert_eq!(news, "WATCHDOG=1");
    drop(client);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(DEAF), 1, "once is enough");
}

#[test]
fn a_watchdog_without_a_time_is_warned_of_and_one_without_a_manager_is_not_fed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = Echo::start();
    let useless = "no number of microseconds: the watchdog is not fed";
    let mut process = start(path.to_str().unwrap(), "soon", &upstream);
    assert_eq!(heard(&manager).as_deref(), Some("READY=1"));
    eventually("it says so", || process.count(useless) > 0);
    process.signal(Signal::TERM);
    assert_eq!(heard(&manager).as_deref(), Some("STOPPING=1"));
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(useless), 1, "once is enough");

    let mut process = start("", "soon", &upstream);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(useless), 0);
}
