//! What those who are served feel of whoever pesters the process: a full pipe behind the log, a
//! scrape every 10 ms, clients that hold the admin endpoint, and malformed PROXY headers one after
//! the other.
//!
//! All of that takes CPU time away from everybody on the machine, and that is not the question. So
//! the pests are always there: they pester the forwarder that is measured, or another one just like
//! it. Three are measured in turns, a block each, their order turning from round to round: one while
//! it is pestered itself, and two while the other one is. The third is the second again: how far
//! their ratio is from 1 is what the machine adds by itself.
//!
//! `cargo bench --bench pestered`, with the number of rounds behind `--` where 60 are not to be.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "it has a report")]

#[path = "support/environment.rs"]
mod environment;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use self::support::{Echo, Pests, Process, Unread, echo_once, served};

const UNITS: &str = "pestered: 1 KiB there and back on one connection, time by quantile; ratios are \
                     of blocks of one round";

const ROUNDS: usize = 60;

const BLOCK: Duration = Duration::from_millis(250);

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

const FLAGS: [&str; 2] = ["--accept-proxy-protocol", "127.0.0.1"];

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let once = args.iter().any(|arg| arg == "--test");
    let given = args.iter().find_map(|arg| arg.parse().ok());
    let rounds = if once { 1 } else { given.unwrap_or(ROUNDS) };
    environment::print(UNITS);

    let echo = Echo::start();
    let [pestered, decoy] = [(); 2].map(|()| Unread::start_with(echo.addr(), &FLAGS));
    let quiet = [(); 2].map(|()| Process::start(echo.addr(), &FLAGS));
    for process in [&pestered, &decoy] {
        let pests = Pests::start(process.addr, process.admin, 0);
        while process.drops() == 0.0 {} // until the pipe behind its log is full
        drop(pests);
    }
    let clients = [pestered.addr, quiet[0].addr(), quiet[1].addr()].map(served);
    let victims = [&pestered, &decoy, &decoy];

    let (mut headers, mut ratios) = (0, [const { Vec::new() }; 2]);
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        let mut blocks = [[0.0; QUANTILES.len()]; 3];
        for turn in 0..3 {
            let which = (round + turn) % 3;
            let victim = victims[which];
            let pests = Pests::start(victim.addr, victim.admin, (3 * round + turn) as u64);
            blocks[which] = block(&clients[which]);
            headers += if which == 0 { pests.end() } else { 0 };
        }
        let [itself, other, again] = blocks;
        ratios[0].push(divide(itself, other));
        ratios[1].push(divide(again, other));
        for (times, block) in times.iter_mut().zip(blocks) {
            times.push(block);
        }
    }

    println!("{rounds} rounds, {headers} malformed headers; median, and the middle half");
    for (quantile, (name, _)) in QUANTILES.iter().enumerate() {
        let [itself, other, again] = times.each_ref().map(|it| middle(it, quantile)[1] * 1e6);
        println!("{name}: {itself:.1} us pestered, {other:.1} and {again:.1} us not");
        for (pair, ratios) in ["pestered / not", "not / not     "].iter().zip(&ratios) {
            let [low, median, high] = middle(ratios, quantile);
            println!("  {pair}  {median:.3}  ({low:.3} to {high:.3})");
        }
    }
}

/// The quantiles of one block, in seconds.
fn block(client: &TcpStream) -> [f64; QUANTILES.len()] {
    let message = [7; 1024];
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < BLOCK || times.is_empty() {
        let sent = Instant::now();
        echo_once(client, &message);
        times.push(sent.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    QUANTILES.map(|(_, quantile)| at(&times, quantile))
}

fn divide<const N: usize>(a: [f64; N], b: [f64; N]) -> [f64; N] {
    std::array::from_fn(|index| a[index] / b[index])
}

/// The lower quartile, the median and the upper quartile of one quantile over all rounds.
fn middle(rounds: &[[f64; QUANTILES.len()]], quantile: usize) -> [f64; 3] {
    let mut values: Vec<_> = rounds.iter().map(|round| round[quantile]).collect();
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|quartile| at(&values, quartile))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the list"
)]
fn at(sorted: &[f64], quantile: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * quantile) as usize]
}
