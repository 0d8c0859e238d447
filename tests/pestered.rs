//! Everything that may get in the way of bytes, at once: a full pipe behind the log, scrapes one
//! after the other, clients that hold the admin endpoint, and ten thousand malformed PROXY headers.
//! What it costs those who are served is measured by `benches/pestered.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use self::support::{
    Echo, Pests, Scrape, Unread, echo_once, eventually, open_files, own_memory, served,
};

const HEADERS: usize = 10_000;

/// Bytes that the second half of it all may add to what the first has left: less than a kilobyte
/// for each header, and much less than what is written for it.
const GROWTH: usize = 4 << 20;

#[test]
fn whoever_pesters_the_process_holds_up_no_byte_and_leaves_nothing_behind() {
    let echo = Echo::start();
    let flags = ["--accept-proxy-protocol", "127.0.0.1", "--workers", "2"];
    let process = Unread::start_with(echo.addr(), &flags);
    let client = served(process.addr);
    let files = open_files(process.pid());

    let mut message = 0_u64;
    let mut serve_until = |enough: &dyn Fn() -> bool| {
        while !enough() {
            echo_once(&client, &message.to_le_bytes().repeat(128));
            message += 1;
        }
    };
    let first = Pests::start(process.addr, process.admin, 1, Duration::ZERO);
    serve_until(&|| first.headers() >= HEADERS / 2);
    let mut headers = first.end();
    eventually("the first half has gone", || {
        open_files(process.pid()) == files
    });
    assert!(process.drops() > 0.0, "the pipe behind the log is full");
    let memory = own_memory(process.pid());

    let second = Pests::start(process.addr, process.admin, 2, Duration::ZERO);
    serve_until(&|| headers + second.headers() >= HEADERS);
    headers += second.end();
    eventually("the second half has gone", || {
        open_files(process.pid()) == files
    });
    let grown = own_memory(process.pid()).saturating_sub(memory);
    assert!(grown < GROWTH, "{grown} bytes");
    let series = "portamento_connections_rejected_total{reason=\"proxy_header\"}";
    eventually("each header is counted", || {
        Scrape::of(process.admin).value(series) == headers as f64
    });
    echo_once(&client, b"and after");
    drop(client);
    assert_eq!(process.end().code(), Some(0));
}
