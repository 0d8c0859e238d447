//! Ten thousand peers that should send a PROXY header and don't.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use self::support::{
    Echo, Process, Random, Scrape, all_at_once, connect, echo_once, eventually, malformed, served,
    skip,
};

const PEERS: usize = 10_000;
/// Of them, those that are waited for.
const SLOW: usize = 500;

const THREADS: usize = 4;

#[test]
fn ten_thousand_malformed_headers_leave_nothing_behind() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|files| files < 4 * SLOW as u64) {
        return skip("the hard limit on open files is too low");
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let echo = Echo::start();
    let flags = ["--accept-proxy-protocol", "127.0.0.1", "--workers", "2"];
    let mut process = Process::start(echo.addr(), &flags);
    let addr = process.addr();
    let good = served(addr);
    let files = process.files();

    let slow: Vec<_> = (0..SLOW).map(|number| slow(addr, number)).collect();
    let threads = (0..THREADS).map(|thread| (format!("peers {thread}"), thread));
    all_at_once(threads, |thread| {
        let mut random = Random::new(thread as u64);
        for number in 0..(PEERS - SLOW) / THREADS {
            malformed(addr, number, &mut random);
        }
        echo_once(&served(addr), b"and a good one");
    });
    echo_once(&good, b"all the while");
    for mut peer in slow {
        assert!(peer.read(&mut [0]).is_err(), "reset, not answered");
    }

    eventually("every connection but one has ended", || {
        process.files() == files && process.records().len() == PEERS + THREADS
    });
    let records = process.records();
    let malformed = records
        .iter()
        .filter(|record| record.end().1 == "proxy_header");
    assert_eq!(malformed.count(), PEERS);
    let forwarded = records
        .iter()
        .filter(|record| record.get("upstream").is_some());
    assert_eq!(forwarded.count(), THREADS);
    let counted = Scrape::of(process.admin());
    let series = "portamento_connections_rejected_total{reason=\"proxy_header\"}";
    assert_eq!(counted.value(series), PEERS as f64);
    echo_once(&good, b"and after");
    drop(good);
    process.signal(Signal::INT);
    assert!(process.wait().success());
    let stopped = &process.lines_with("stopped")[0];
    assert_eq!(stopped.number("rejected"), PEERS);
    assert_eq!(stopped.number("accepted"), PEERS + THREADS + 1);
}

/// A peer that starts a header and never ends it.
fn slow(to: SocketAddr, number: usize) -> TcpStream {
    let mut peer = connect(to);
    let start: &[u8] = match number % 4 {
        0 => b"",
        1 => b"PROXY ",
        2 => b"PROXY TCP4 192.0.2.1 192.0.2.2 1",
        _ => b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0C\xC0\0\x02",
    };
    peer.write_all(start).unwrap();
    peer
}
