//! What the sampling for `forward_delay_seconds` costs small messages: one at a time, there and
//! back, through a forwarder that samples and two that do not, a block each in turns.
//!
//! `cargo bench --bench sampling`, with the number of rounds behind `--` where 200 are not to be.

#[path = "support/blocks.rs"]
mod blocks;
mod support;

use std::net::TcpStream;

use loadtest::origin::{Mode, Origin};
use portamento::config::Engine;

use self::{
    blocks::Rounds,
    support::{
        environment,
        hop::{Hop, Route},
    },
};

const UNITS: &str = "sampling: 1 KiB there and back on one connection, time by quantile; ratios are \
                     of blocks of one round";

const ROUTES: [Route; 3] = [
    Route::Portamento(Engine::Auto),
    Route::Unsampled,
    Route::Unsampled,
];

fn main() -> std::io::Result<()> {
    let count = blocks::rounds(200);
    environment::print(UNITS);
    let origin = Origin::start(Mode::Exchange {
        request: blocks::MESSAGE,
        response: blocks::MESSAGE,
    })?;
    let mut hops = Vec::new();
    let mut clients = Vec::new();
    for route in ROUTES {
        let hop = Hop::start(route, origin.local_addr())?;
        let client = TcpStream::connect(hop.entry())?;
        client.set_nodelay(true)?;
        clients.push(client);
        hops.push(hop);
    }
    let mut rounds = Rounds::default();
    for round in 0..count {
        for turn in 0..3 {
            let place = (round + turn) % 3;
            rounds.measure(place, &clients[place]);
        }
    }
    rounds.report(["sampled", "not", "not, again"]);
    Ok(())
}
