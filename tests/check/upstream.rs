use std::{
    io::Write,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::UnixListener,
    process::Command,
    thread,
    time::Instant,
};

use h2::Reason;
use hyper::Response;
use loadtest::{StandIn, StandInConfig};
use tokio::runtime::Builder;

use super::{
    Found,
    server::{Http, response},
    support::{BINARY, BlackHole, Echo, Nobody, Origin, can_mount, eventually_some, skip},
};

fn check(upstream: impl ToString) -> Found {
    Found::by(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream.to_string(),
    ])
}

#[test]
fn a_grpc_server_says_how_it_is() {
    let server = StandIn::start(StandInConfig::default()).unwrap();
    let addr = server.local_addr();
    let found = check(addr);
    found.has("upstream", "ok", &[&addr.to_string(), "answers in"]);
    found.has("upstream-health", "ok", &["grpc.health.v1 says SERVING"]);
    server.set_serving(false);
    check(addr).has("upstream-health", "warning", &["NOT_SERVING"]);
}

#[test]
fn a_grpc_server_without_the_service_is_fine() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let incoming = tokio::net::TcpListener::from_std(listener).unwrap();
        tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(incoming))
            .await
    });
    check(addr).has(
        "upstream-health",
        "ok",
        &["without grpc.health.v1 (UNIMPLEMENTED)"],
    );
    runtime.shutdown_background();
}

#[test]
fn an_http2_server_without_grpc_is_fine_and_one_that_ends_the_call_is_not() {
    for (reason, level, words) in [
        (None, "ok", "speaks HTTP/2 and not gRPC (status 404)"),
        (
            Some(Reason::REFUSED_STREAM),
            "warning",
            "speaks HTTP/2, yet ends the health check",
        ),
    ] {
        let (runtime, addr) = http2(reason);
        check(addr).has("upstream-health", level, &[words]);
        runtime.shutdown_background();
    }
}

/// A server that answers each HTTP/2 request with 404, or resets its stream.
fn http2(reason: Option<Reason>) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            match reason {
                Some(reason) => respond.send_reset(reason),
                None => {
                    let answer = Response::builder().status(404).body(()).unwrap();
                    drop(respond.send_response(answer, true).unwrap());
                }
            }
        }
    });
    (runtime, addr)
}

#[test]
fn servers_of_other_protocols_are_fine() {
    let echo = Echo::start();
    let http1 = Http::start("127.0.0.1", |_| response(200, "text/plain", "hello"));
    let http1: SocketAddr = http1_addr(&http1);
    let closing = closing();
    for addr in [echo.addr(), http1, closing] {
        let found = check(addr);
        assert_eq!(found.code, Some(0), "{:#}", found.report);
        found.has(
            "upstream-health",
            "ok",
            &["does not speak HTTP/2", "need not"],
        );
    }
}

fn http1_addr(server: &Http) -> SocketAddr {
    server
        .url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap()
}

/// A server that says something, and closes.
fn closing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"no\n").ok(); // the other end may be gone
        }
    });
    addr
}

#[test]
fn a_silent_server_is_given_up() {
    let silent = Origin::bind();
    let started = Instant::now();
    let found = check(silent.addr());
    assert!(started.elapsed() < super::support::PATIENCE);
    found.has("upstream", "ok", &["answers in"]);
    found.has(
        "upstream-health",
        "warning",
        &["says nothing to an HTTP/2 client within 2s"],
    );
}

#[test]
fn an_upstream_that_is_not_there_says_why() {
    let (nobody, hole) = (Nobody::new(), BlackHole::new());
    for (upstream, words) in [
        (nobody.addr().to_string(), "connection refused"),
        (hole.addr().to_string(), "no answer within 200ms"),
        ("nonesuch.invalid:1".to_owned(), "cannot be resolved"),
        ("unix:/nonesuch.sock".to_owned(), "connection refused"),
    ] {
        let found = Found::by(&[
            "-l",
            "127.0.0.1:0",
            "-u",
            &upstream,
            "--connect-timeout",
            "200ms",
        ]);
        found.has(
            "upstream",
            "error",
            &[&upstream, "cannot be reached", words],
        );
        assert!(found.all("upstream-health").is_empty());
    }
}

#[test]
fn each_upstream_is_asked_once() {
    let (echo, nobody) = (Echo::start(), Nobody::new());
    let forward = |port, upstream| format!("127.0.0.1:0{port}={upstream}");
    let found = Found::by(&[
        "--forward",
        &forward("", echo.addr()),
        "--forward",
        &forward("", nobody.addr()),
        "--forward",
        &forward("", echo.addr()),
    ]);
    let levels: Vec<_> = found
        .all("upstream")
        .iter()
        .map(|finding| finding.0)
        .collect();
    assert_eq!(levels, ["ok", "error"]);
    assert_eq!(found.all("listen").len(), 3);
}

#[test]
fn a_unix_socket_is_an_upstream_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upstream.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || drop(listener.accept()));
    let found = check(format!("unix:{}", path.display()));
    found.has("upstream", "ok", &["upstream.sock answers in"]);
    found.has("upstream-health", "ok", &["does not speak HTTP/2"]);
}

#[test]
fn an_address_of_a_name_that_refuses_is_a_warning() {
    if !can_mount() {
        return;
    }
    let (origin, _nobody) = eventually_some("two addresses have a port free", || {
        let origin = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = origin.local_addr().unwrap().port();
        let at = |last| Nobody::at(([127, 0, 0, last], port).into()).ok();
        let nobody = (at(1)?, at(3)?); // the resolver sorts: one of them is in front
        Some((origin, nobody))
    });
    let addr = origin.local_addr().unwrap();
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        hosts.path(),
        "127.0.0.1 three.test\n127.0.0.2 three.test\n127.0.0.3 three.test\n",
    )
    .unwrap();
    thread::spawn(move || drop(origin.accept()));
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
    ]);
    command
        .arg(hosts.path())
        .args([BINARY, "check", "-l", "127.0.0.1:0", "-u"]);
    command.arg(format!("three.test:{}", addr.port()));
    let found = Found::of(command);
    let [("warning", warned), ("ok", answered)] = found.all("upstream")[..] else {
        panic!("{:#}", found.report);
    };
    assert!(
        warned.contains("connection refused") && warned.contains("give an address"),
        "{warned}"
    );
    assert!(
        answered.contains(&format!("answers at {addr}")),
        "{answered}"
    );
}

#[test]
fn a_name_that_leads_back_is_an_error() {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let port = Nobody::new().addr().port();
    let Ok(mut addresses) = (name.as_str(), port).to_socket_addrs() else {
        return skip("the name of this host is not resolved");
    };
    if name.ends_with("localhost") {
        return skip("the name of this host is seen without resolving it");
    }
    if !addresses.all(|address| TcpListener::bind((address.ip(), 0)).is_ok()) {
        return skip("the name of this host is another's");
    }
    let found = Found::by(&["-l", &format!(":{port}"), "-u", &format!("{name}:{port}")]);
    found.has("upstream", "error", &["leads back to the forwarder itself"]);
}
