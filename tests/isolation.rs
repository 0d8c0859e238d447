//! Bytes of one connection never reach another, however the others end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    num::NonZeroUsize,
    thread,
};

use portamento::config::Engine;

use self::support::{
    Direction, End, Link, Pattern, Random, Rig, for_each_engine, read_out, reset, send_until_stuck,
    told,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Every second connection is cut at a random byte, in one of several ways, while all of them share
/// a worker, its buffers and few pipes; the others receive nothing but their own bytes.
#[test]
fn survivors_of_a_crowd_receive_only_their_own_bytes() {
    const CROWD: u64 = 24;
    for_each_engine(|engine| {
        let rig = Rig::with(engine, |config| {
            config.workers = NonZeroUsize::new(1);
            config.relay.max_pipes = NonZeroUsize::new(4);
        });
        thread::scope(|scope| {
            for seed in 0..CROWD {
                let link = rig.link();
                scope.spawn(move || {
                    if seed % 2 == 0 {
                        abort(link, seed);
                    } else {
                        survive(link, seed);
                    }
                });
            }
        });
        rig.forwarder.settled();
    });
}

/// Sends both streams to their end.
fn survive(link: Link, seed: u64) {
    const SIZE: usize = 3 * MIB;
    let (up, down) = (Pattern::new(seed), Pattern::new(!seed));
    thread::scope(|scope| {
        for (pattern, from, to) in [
            (&up, &link.client, &link.server),
            (&down, &link.server, &link.client),
        ] {
            scope.spawn(move || {
                pattern.send(from, 0..SIZE);
                from.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                pattern.receive(to, 0..SIZE);
                assert_eq!(read_out(to), (Vec::new(), End::Fin));
            });
        }
    });
}

/// Cuts both streams where they happen to be.
fn abort(link: Link, seed: u64) {
    let mut random = Random::new(seed);
    let (up, down) = (Pattern::new(seed), Pattern::new(!seed));
    thread::scope(|scope| {
        for (pattern, from, to) in [
            (&up, &link.client, &link.server),
            (&down, &link.server, &link.client),
        ] {
            scope.spawn(move || send_until_cut(pattern, from));
            pattern.receive(to, 0..random.within(0, MIB));
        }
        for end in [&link.client, &link.server] {
            end.shutdown(Shutdown::Both).ok(); // it fails if the other one's end has come already
        }
    });
    if random.next_u64().is_multiple_of(2) {
        reset(link.client);
    } else {
        reset(link.server);
    }
}

fn send_until_cut(pattern: &Pattern, mut to: &TcpStream) {
    let mut sent = 0;
    while let Ok(count) = to.write(pattern.slice(sent, 64 * KIB)) {
        sent += count;
    }
}

/// What a pipe held when its connection broke does not come out of it at the next one.
#[test]
fn a_pipe_with_bytes_of_the_dead_is_not_used_again() {
    let rig = Rig::with(Engine::Splice, |config| {
        config.workers = NonZeroUsize::new(1);
        config.relay.max_pipes = NonZeroUsize::new(1);
    });
    let (of_the_dead, of_the_living) = (Pattern::new(1), Pattern::new(2));
    for way in [Direction::ToUpstream, Direction::ToClient] {
        let (sender, receiver) = rig.link().into_ends(way);
        send_until_stuck(&sender, &of_the_dead, 64 * KIB);
        reset(receiver);
        assert_eq!(told(&sender), End::Reset);
        rig.forwarder.settled();

        let spliced = rig.forwarder.totals().bytes_spliced;
        let link = rig.link();
        let (sender, receiver) = link.ends(way);
        of_the_living.pass(sender, receiver, 0..4 * MIB);
        drop(link);
        let totals = rig.forwarder.settled();
        assert!(
            totals.bytes_spliced > spliced,
            "the only pipe that may be was replaced"
        );
    }
}
