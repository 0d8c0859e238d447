//! A forwarder that would connect to itself does not start.

use std::{
    net::{IpAddr, TcpListener},
    process::{Command, Output, Stdio},
};

use super::support::{BINARY, skip};

#[test]
fn an_upstream_that_is_this_host_at_the_listen_port_is_refused_before_anything_is_bound() {
    let others = TcpListener::bind(":::0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let taken = others.unwrap(); // to bind the port would fail, and end otherwise
    let port = taken.local_addr().unwrap().port();
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let mut outer = interfaces.iter().map(if_addrs::Interface::ip);
    let Some(outer) = outer.find(|ip| ip.is_ipv4() && !ip.is_loopback()) else {
        return skip("no address but the loopback's");
    };
    let loopback = IpAddr::from([127, 0, 0, 1]);
    for own in [outer, loopback] {
        for listen in [format!("0.0.0.0:{port}"), format!(":{port}")] {
            let upstream = format!("{own}:{port}");
            refused(
                &start(&["--listen", &listen, "--upstream", &upstream]),
                &[
                    &format!("--upstream '{upstream}'"),
                    &format!("--listen '{listen}'"),
                ],
            );
            let pair = format!("{listen}={upstream}");
            refused(
                &start(&["--forward", &pair]),
                &[&format!("--forward '{pair}'")],
            );
        }
        let (admin, upstream) = (format!(":{port}"), format!("{own}:{port}"));
        refused(
            &start(&[
                "--listen",
                "127.0.0.1:0",
                "--upstream",
                &upstream,
                "--admin",
                &admin,
            ]),
            &[
                &format!("--upstream '{upstream}'"),
                &format!("--admin '{admin}'"),
            ],
        );
    }
    // And the check says the same, in the same words.
    let upstream = format!("{outer}:{port}");
    let listen = format!("0.0.0.0:{port}");
    let output = Command::new(BINARY)
        .args(["check", "--listen", &listen, "--upstream", &upstream])
        .output();
    refused(&output.unwrap(), &[&format!("--upstream '{upstream}'")]);
}

fn start(flags: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(flags).stdin(Stdio::null());
    if !flags.contains(&"--admin") {
        command.args(["--admin", "off"]);
    }
    command.output().unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words.iter().chain(&["leads back to the forwarder itself"]) {
        assert!(said.contains(word), "does not say {word}: {said}");
    }
}
