//! Sockets that are passed on in `LISTEN_FDS` are what counts, and what is wrong with them is said.

use std::{
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Output},
};

use socket2::{Domain, Socket, Type};

use super::{
    end_of,
    support::{BINARY, Process},
};

/// A command that runs the forwarder with `socket` as the first that is passed on.
fn passed(socket: impl Into<OwnedFd>, pid: &str, count: &str, upstream: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("LISTEN_PID={pid} LISTEN_FDS='{count}'");
    let script = format!(r#"exec 3<&0 0</dev/null; {script} exec "$0" "$@""#);
    command.args(["-c", &script, BINARY, "--upstream", upstream]);
    command.env("PORTAMENTO_ADMIN", "off").stdin(socket.into());
    command
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "does not say {word}: {said}");
    }
}

#[test]
fn an_upstream_that_leads_to_a_socket_that_was_passed_on_is_refused() {
    let back = "leads back to the forwarder itself";
    for address in ["0.0.0.0:0", "127.0.0.1:0", "[::]:0"] {
        let Ok(socket) = TcpListener::bind(address) else {
            continue; // the kernel has no IPv6
        };
        let port = socket.local_addr().unwrap().port();
        let upstream = format!("127.0.0.1:{port}");
        let shown = match address {
            "[::]:0" => format!("LISTEN_FDS ':{port}'"),
            _ => format!("LISTEN_FDS '{}{port}'", address.strip_suffix('0').unwrap()),
        };
        let output = end_of(&mut passed(socket, "$$", "1", &upstream));
        let given = format!("--upstream '{upstream}'");
        refused(&output, 2, &[&given, &shown, back]);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let socket = UnixListener::bind(&path).unwrap();
    let upstream = format!("unix:{}", path.display());
    let output = end_of(&mut passed(socket, "$$", "1", &upstream));
    refused(&output, 2, &[&format!("LISTEN_FDS '{upstream}'"), back]);
}

#[test]
fn the_listen_address_is_held_against_nothing_where_sockets_are_passed_on() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut command = passed(socket, "$$", "1", "127.0.0.1:12345"); // as --listen by default
    let process = Process::launch(&mut command);
    assert_eq!(process.addr(), address);
}

#[test]
fn a_count_that_there_cannot_be_is_refused_and_one_for_another_process_is_not_read() {
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    for count in ["2147483647", "99999999999999999999", "abc", "-1", "1 "] {
        let output = end_of(&mut passed(socket(), "$$", count, "127.0.0.1:9"));
        refused(&output, 1, &[&format!("LISTEN_FDS '{count}'")]);
        let mut others = passed(socket(), "1", count, "127.0.0.1:9");
        drop(Process::launch(others.args(["--listen", "127.0.0.1:0"])));
    }
}

#[test]
fn a_socket_that_cannot_listen_is_refused_by_its_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (unix, _peer) = UnixStream::pair().unwrap();
    for connection in [OwnedFd::from(tcp), OwnedFd::from(unix)] {
        let output = end_of(&mut passed(connection, "$$", "1", "127.0.0.1:9"));
        let said = "LISTEN_FDS: descriptor 3 is a connection";
        refused(&output, 1, &[said]);
    }

    // Two are bound to a port, and one of them listens.
    let [first, second] = [(); 2].map(|()| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket
    });
    first.bind(&any_port().into()).unwrap();
    second.bind(&first.local_addr().unwrap()).unwrap();
    first.listen(1).unwrap();
    let output = end_of(&mut passed(second, "$$", "1", "127.0.0.1:9"));
    let address = first.local_addr().unwrap().as_socket().unwrap();
    let said = format!("LISTEN_FDS: descriptor 3, at '{address}', can't listen");
    refused(&output, 1, &[&said]);
}

/// Whichever is free.
fn any_port() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
