//! What those who are served feel of whoever pesters the process: a full pipe behind the log, a
//! scrape every 10 ms, clients that hold the admin endpoint, and malformed PROXY headers, some 900 a
//! second: more than 10,000 come to the one that is measured.
//!
//! All of that takes CPU time away from everybody on the machine, and that is not the question. So
//! the pests are always there: they pester the forwarder that is measured, or another one just like
//! it. Three are measured in turns, a block each, their order turning from round to round: one while
//! it is pestered itself, and two while the other one is.
//!
//! `cargo bench --bench pestered`, with the number of rounds behind `--` where 60 are not to be.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/environment.rs"]
mod environment;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use self::{
    blocks::Rounds,
    support::{Echo, Pests, Process, Unread, served},
};

const UNITS: &str = "pestered: 1 KiB there and back on one connection, time by quantile; ratios are \
                     of blocks of one round";

/// Between two malformed headers.
const PAUSE: Duration = Duration::from_millis(1);

const FLAGS: [&str; 2] = ["--accept-proxy-protocol", "127.0.0.1"];

fn main() {
    let count = blocks::rounds(60);
    environment::print(UNITS);
    let echo = Echo::start();
    let [pestered, decoy] = [(); 2].map(|()| Unread::start_with(echo.addr(), &FLAGS));
    let quiet = [(); 2].map(|()| Process::start(echo.addr(), &FLAGS));
    for process in [&pestered, &decoy] {
        let pests = Pests::start(process.addr, process.admin, 0, Duration::ZERO);
        while process.drops() == 0.0 {} // until the pipe behind its log is full
        pests.end();
    }
    let clients = [pestered.addr, quiet[0].addr(), quiet[1].addr()].map(served);
    let victims = [&pestered, &decoy, &decoy];

    let (mut rounds, mut headers) = (Rounds::default(), [0; 3]);
    for round in 0..count {
        for turn in 0..3 {
            let place = (round + turn) % 3;
            let victim = victims[place];
            let seed = (3 * round + turn) as u64;
            let pests = Pests::start(victim.addr, victim.admin, seed, PAUSE);
            rounds.measure(place, &clients[place]);
            headers[place] += pests.end();
        }
    }
    #[expect(clippy::print_stdout, reason = "it is part of the report")]
    {
        println!("malformed headers: {headers:?}");
    }
    rounds.report(["pestered", "not", "not, again"]);
}
