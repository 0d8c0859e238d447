//! A forwarder that would connect to itself does not start.

use std::{
    net::{IpAddr, TcpListener},
    process::{Command, Output, Stdio},
};

use rustix::process::getuid;

use super::{
    end_of,
    support::{BINARY, installed, skip},
};

#[test]
fn an_upstream_that_is_this_host_at_the_listen_port_is_refused_before_anything_is_bound() {
    let others = TcpListener::bind(":::0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let taken = others.unwrap(); // to bind the port would fail, and end otherwise
    let port = taken.local_addr().unwrap().port();
    let Some(outer) = outer_address() else {
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

#[test]
fn a_sandbox_that_hides_the_interfaces_does_not_hide_the_loop() {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !works.is_ok_and(|status| status.success()) {
        return skip("strace is not installed, or may not trace");
    }
    let Some(outer) = outer_address() else {
        return skip("no address but the loopback's");
    };
    // The first socket is that of AF_NETLINK.
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", "trace=socket"]);
    command.args(["-e", "inject=socket:error=EAFNOSUPPORT:when=1"]);
    let upstream = format!("{outer}:1");
    command.args([BINARY, "--listen", "0.0.0.0:1", "--upstream", &upstream]);
    let output = end_of(command.args(["--admin", "off"]));
    refused(&output, &[&format!("--upstream '{upstream}'")]);
}

#[test]
fn a_network_that_the_loopback_interface_stands_for_is_this_host() {
    if !getuid().is_root() {
        return skip("only root can make namespaces");
    }
    if !installed("unshare") || !installed("ip") {
        return;
    }
    let script = r#"ip link set lo up; ip addr add 10.99.0.1/24 dev lo; exec "$0" "$@""#;
    for upstream in ["10.99.0.1:1", "10.99.0.7:1"] {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script, BINARY, "--admin", "off"]);
        command.args(["--listen", "0.0.0.0:1", "--upstream", upstream]);
        let output = end_of(&mut command);
        refused(&output, &[&format!("--upstream '{upstream}'")]);
    }
}

/// An address of this host that others can reach, if it has one.
fn outer_address() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let mut addresses = interfaces.iter().map(if_addrs::Interface::ip);
    addresses.find(|ip| ip.is_ipv4() && !ip.is_loopback())
}

fn start(flags: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(flags).stdin(Stdio::null());
    if !flags.contains(&"--admin") {
        command.args(["--admin", "off"]);
    }
    end_of(&mut command)
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words.iter().chain(&["leads back to the forwarder itself"]) {
        assert!(said.contains(word), "does not say {word}: {said}");
    }
}
