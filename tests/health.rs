//! What a probe is told: ready, live, and why not.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{net::TcpListener, time::Instant};

use rustix::process::Signal;
use support::{
    Echo, End, Origin, Process, Scrape, connections, echoed, eventually, eventually_some, get,
    read_out,
};

#[test]
fn ready_follows_the_upstream_within_two_seconds() {
    let origin = Origin::bind();
    let addr = origin.addr();
    let process = Process::start(addr, &[]);
    assert_eq!(get(process.admin(), "/ready").status, 200);
    drop(origin);
    let died = Instant::now();
    eventually("it is not ready", || {
        get(process.admin(), "/ready").status == 503
    });
    let answer = get(process.admin(), "/ready");
    assert!(answer.body.contains(&addr.to_string()), "{}", answer.body);
    // What an answer is good for, and a scheduler's delay.
    assert!(died.elapsed().as_secs() < 10);
    // Somebody's connection may have taken the port for a moment.
    let origin = eventually_some("it listens again", || TcpListener::bind(addr).ok());
    eventually("it is ready again", || {
        get(process.admin(), "/ready").status == 200
    });
    // It was asked a thousand times, and has asked the upstream a few times.
    origin.set_nonblocking(true).unwrap();
    let probes = std::iter::from_fn(|| origin.accept().ok()).count();
    assert!((1..=3).contains(&probes), "{probes} probes");
}

#[test]
fn a_drain_is_not_ready_and_says_so() {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--drain-timeout", "1h"]);
    let _client = echoed(process.addr());
    assert_eq!(get(process.admin(), "/ready").status, 200);
    process.signal(Signal::TERM);
    eventually("it is not ready", || {
        get(process.admin(), "/ready").status == 503
    });
    assert_eq!(get(process.admin(), "/ready").body, "draining\n");
    assert_eq!(
        Scrape::of(process.admin()).value("portamento_draining"),
        1.0
    );
    assert_eq!(get(process.admin(), "/live").status, 200);
}

#[test]
fn live_fails_while_a_worker_is_stuck() {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--workers", "2"]);
    assert_eq!(get(process.admin(), "/live").status, 200);
    let Some(stuck) = process.stick_worker() else {
        return;
    };
    eventually("a stuck worker is noticed", || {
        get(process.admin(), "/live").status == 503
    });
    let answer = get(process.admin(), "/live");
    assert!(
        answer.body.starts_with("worker 0 has been stuck for "),
        "{}",
        answer.body
    );
    let scrape = Scrape::of(process.admin());
    assert!(scrape.value("portamento_worker_stall_seconds_max") >= 5.0);
    // Whoever asks for connections is told whose are missing.
    let page = connections(process.admin(), "");
    assert_eq!(page["silent_workers"], serde_json::json!([0]));
    drop(stuck);
    eventually("the worker goes on", || {
        get(process.admin(), "/live").status == 200
    });
}

#[test]
fn a_probe_tells_an_upstream_that_demands_a_header_that_it_is_nobodys() {
    for (version, header) in [
        ("v1", &b"PROXY UNKNOWN\r\n"[..]),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let origin = Origin::bind();
        let process = Process::start(origin.addr(), &["--proxy-protocol", version]);
        assert_eq!(get(process.admin(), "/ready").status, 200);
        let (told, end) = read_out(&origin.accept());
        assert_eq!((told.as_slice(), end), (header, End::Fin));
    }
}
