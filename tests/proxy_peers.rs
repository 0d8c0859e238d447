//! The PROXY protocol as others speak it: HAProxy and nginx, on either side.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use tempfile::TempDir;

use self::support::{Echo, Foreign, Process, connect, echo_once, eventually, installed, skip};

const ACCEPT: [&str; 2] = ["--accept-proxy-protocol", "127.0.0.0/8"];

fn write(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// HAProxy, listening on a port with these options of its `bind`, and what else makes it a proxy.
fn haproxy(dir: &TempDir, bind: &str, proxy: &str) -> Option<Foreign> {
    Foreign::start("haproxy", |port| {
        let text = format!(
            "defaults\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n\
             listen it\n bind 127.0.0.1:{port} {bind}\n{proxy}\n"
        );
        vec!["-db".into(), "-f".into(), write(dir, "haproxy.cfg", &text)]
    })
}

/// nginx, listening on a port with these options, and what else makes it a stream server.
fn nginx(dir: &TempDir, listen: &str, server: &str) -> Option<Foreign> {
    if !installed("nginx") {
        return None;
    }
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let load = match Path::new(module).exists() {
        true => format!("load_module {module};"),
        false => String::new(), // built in, or not there at all
    };
    let directory = dir.path().display().to_string();
    let config = move |port| {
        format!(
            "{load} daemon off; master_process off; pid {directory}/pid; error_log stderr;\n\
             events {{}}\nstream {{ server {{ listen 127.0.0.1:{port} {listen}; {server} }} }}\n"
        )
    };
    let tried = write(dir, "tried.conf", &config(1));
    let test = std::process::Command::new("nginx")
        .args(["-t", "-q", "-c", &tried])
        .output();
    if !test.unwrap().status.success() {
        skip("nginx has no stream module");
        return None;
    }
    Foreign::start("nginx", |port| {
        vec!["-c".into(), write(dir, "nginx.conf", &config(port))]
    })
}

/// A client of a proxy in front of the forwarder is the one that the forwarder knows.
fn assert_named(proxy: &Foreign, forwarder: &Process) {
    let client = connect(proxy.addr);
    echo_once(&client, b"hello");
    let addr = client.local_addr().unwrap();
    drop(client);
    let record = forwarder.record_of(addr);
    assert_eq!(record.end(), ("client", "fin", ""));
    assert_eq!(record.number("bytes_to_upstream"), 5);
}

/// What a server that tells its clients their address tells one of the forwarder's.
fn told(forwarder: &Process, request: &str) -> (String, SocketAddr) {
    let mut client: TcpStream = connect(forwarder.addr());
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    (answer, client.local_addr().unwrap())
}

#[test]
fn haproxy_names_its_client() {
    let echo = Echo::start();
    for option in ["send-proxy", "send-proxy-v2"] {
        let dir = tempfile::tempdir().unwrap();
        let forwarder = Process::start(echo.addr(), &ACCEPT);
        let server = format!(" mode tcp\n server it {} {option}", forwarder.addr());
        let Some(haproxy) = haproxy(&dir, "", &server) else {
            return;
        };
        assert_named(&haproxy, &forwarder);
    }
}

#[test]
fn haproxy_checks_the_health_of_a_forwarder_that_demands_headers() {
    let echo = Echo::start();
    let dir = tempfile::tempdir().unwrap();
    let forwarder = Process::start(echo.addr(), &ACCEPT);
    let server = format!(
        " mode tcp\n option tcp-check\n tcp-check connect send-proxy\n tcp-check send alive\n \
         tcp-check expect string alive\n server it {} send-proxy-v2 check inter 50ms fall 1",
        forwarder.addr()
    );
    let Some(haproxy) = haproxy(&dir, "", &server) else {
        return;
    };
    eventually("some checks have passed", || {
        let records = forwarder.records();
        records
            .iter()
            .filter(|record| record.number("bytes_to_client") == 5)
            .count()
            > 5
    });
    assert_named(&haproxy, &forwarder); // after a failed check it would serve nobody
    for record in forwarder.records() {
        assert_ne!(record.text("reason"), "proxy_header", "{record:?}");
    }
}

#[test]
fn haproxy_learns_who_the_client_is() {
    let dir = tempfile::tempdir().unwrap();
    let tell = " mode http\n http-request return status 200 content-type text/plain lf-string \
                \"%[src]:%[src_port] %[dst]:%[dst_port]\"";
    let Some(haproxy) = haproxy(&dir, "accept-proxy", tell) else {
        return;
    };
    for version in ["v1", "v2"] {
        let forwarder = Process::start(haproxy.addr, &["--proxy-protocol", version]);
        let request = "GET / HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
        let (answer, client) = told(&forwarder, request);
        let expected = format!("\r\n\r\n{client} {}", forwarder.addr());
        assert!(answer.ends_with(&expected), "{version}: {answer}");
        // Not a byte of the header is counted.
        assert_eq!(
            forwarder.record_of(client).number("bytes_to_upstream"),
            request.len()
        );
    }
}

#[test]
fn nginx_names_its_client() {
    let echo = Echo::start();
    let dir = tempfile::tempdir().unwrap();
    let forwarder = Process::start(echo.addr(), &ACCEPT);
    let server = format!("proxy_protocol on; proxy_pass {};", forwarder.addr());
    if let Some(nginx) = nginx(&dir, "", &server) {
        assert_named(&nginx, &forwarder);
    }
}

#[test]
fn nginx_learns_who_the_client_is() {
    let dir = tempfile::tempdir().unwrap();
    let tell = "return \"$proxy_protocol_addr:$proxy_protocol_port \
                $proxy_protocol_server_addr:$proxy_protocol_server_port\";";
    let Some(nginx) = nginx(&dir, "proxy_protocol", tell) else {
        return;
    };
    for version in ["v1", "v2"] {
        let forwarder = Process::start(nginx.addr, &["--proxy-protocol", version]);
        let (answer, client) = told(&forwarder, "");
        assert_eq!(
            answer,
            format!("{client} {}", forwarder.addr()),
            "{version}"
        );
    }
}
