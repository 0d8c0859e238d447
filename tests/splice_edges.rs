//! Where splicing has its traps: pipes count slots and not bytes, they are few, and whoever stops
//! splicing must not lose its place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    net::{Shutdown, TcpStream},
    num::NonZeroUsize,
    thread,
};

use portamento::config::Engine;
use socket2::SockRef;

use self::support::{
    Direction, End, Link, Pattern, Rig, all_at_once, eventually, exchange, for_each_case,
    for_each_process, pass_to_end, read_out, send_until_stuck,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Small segments of a pipe of 16 slots: a burst has many more, and yet so few that the kernel
/// sees no reason to merge them.
const FEW_SLOTS: [&str; 2] = ["--pipe-size", "64KiB"];

#[test]
fn small_segments_that_fill_the_slots_of_a_pipe_all_arrive() {
    for_each_process(&FEW_SLOTS, |process, origin, direction| {
        let link = Link::open(process.addr(), origin);
        let (sender, receiver) = link.ends(direction);
        let pattern = Pattern::new(1);
        let mut at = widen(sender, receiver, &pattern);
        for size in [1, 100, 1].repeat(5) {
            let range = at..at + 150 * size;
            // The forwarder reads nothing, then finds all of them in one queue.
            process.frozen(|| pattern.send_in(sender, range.clone(), size..=size));
            pattern.receive(receiver, range.clone());
            at = range.end;
        }
        sender.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
    });
}

/// Moves so much that the sender's kernel may have many segments under way; what it holds back, it
/// merges. Returns how much.
fn widen(sender: &TcpStream, receiver: &TcpStream, pattern: &Pattern) -> usize {
    const SIZE: usize = 8 * MIB;
    pattern.pass(sender, receiver, 0..SIZE);
    SIZE
}

#[test]
fn small_segments_and_the_fin_behind_them_all_arrive() {
    for_each_process(&FEW_SLOTS, |process, origin, direction| {
        for count in [150, 3000] {
            let link = Link::open(process.addr(), origin);
            let (sender, receiver) = link.ends(direction);
            let pattern = Pattern::new(2);
            let start = widen(sender, receiver, &pattern);
            process.frozen(|| {
                pattern.send_in(sender, start..start + count, 1..=1);
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let (bytes, end) = read_out(receiver);
            pattern.check(start, &bytes);
            assert_eq!((bytes.len(), end), (count, End::Fin));
        }
    });
}

#[test]
fn one_byte_segments_that_nobody_reads_yet_arrive_when_somebody_does() {
    for_each_case(|engine, direction| {
        let rig = Rig::with(engine, |config| {
            config.sockets.sndbuf = Some(16 * KIB);
            config.sockets.rcvbuf = Some(16 * KIB);
        });
        let link = rig.link();
        let (sender, receiver) = link.ends(direction);
        SockRef::from(sender)
            .set_send_buffer_size(16 * KIB)
            .unwrap();
        SockRef::from(receiver)
            .set_recv_buffer_size(16 * KIB)
            .unwrap();
        let pattern = Pattern::new(3);
        let stuck = send_until_stuck(sender, &pattern, 64 * KIB);
        thread::scope(|scope| {
            scope.spawn(|| {
                pattern.send_in(sender, stuck..stuck + 5000, 1..=1);
                sender.shutdown(Shutdown::Write).unwrap();
            });
            pattern.receive(receiver, 0..stuck + 5000);
            assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
        });
    });
}

#[test]
fn tiny_and_huge_writes_alternate() {
    for_each_case(|engine, direction| {
        let rig = Rig::new(engine);
        let link = rig.link();
        let (sender, receiver) = link.ends(direction);
        let pattern = Pattern::new(4);
        let sizes = [1, 256 * KIB, 3, 70 * KIB, 1, 1, 200 * KIB, 2].repeat(12);
        let all = sizes.iter().sum();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut at = 0;
                for size in sizes {
                    pattern.send_in(sender, at..at + size, size..=size);
                    at += size;
                }
                sender.shutdown(Shutdown::Write).unwrap();
            });
            pattern.receive(receiver, 0..all);
            assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
        });
    });
}

#[test]
fn auto_splices_what_is_much_and_copies_what_is_little() {
    const BULK: usize = 16 * MIB;
    both_ways(|direction| {
        let rig = Rig::new(Engine::Auto);
        let link = rig.link();
        let (sender, receiver) = link.ends(direction);
        let mut sent = 0;
        // What went through a pipe, once all that was sent is counted.
        let mut spliced = |more: usize| {
            sent += more as u64;
            eventually("all that left is counted", || counted(&rig) == sent);
            rig.forwarder.totals().bytes_spliced
        };
        let little = || {
            (0..100).for_each(|_| exchange(sender, receiver, &[7; 500]));
            100 * 500
        };
        assert_eq!(spliced(little()), 0, "little is copied");

        for seed in 1..=2 {
            let pattern = Pattern::new(seed);
            let before = spliced(0);
            // Whoever reads begins late, so that much has come together.
            let all = BULK + send_until_stuck(sender, &pattern, 64 * KIB);
            thread::scope(|scope| {
                scope.spawn(|| pattern.send(sender, all - BULK..all));
                pattern.receive(receiver, 0..all);
            });
            let during = spliced(all) - before;
            assert!(
                during > all as u64 / 2,
                "much is spliced: {during} of {all}"
            );

            exchange(sender, receiver, b"this may still be spliced");
            let before = spliced(b"this may still be spliced".len());
            assert_eq!(spliced(little()), before, "little is copied again");
        }
    });
}

#[test]
fn forced_engines_do_nothing_else() {
    both_ways(|direction| {
        for engine in [Engine::Copy, Engine::Splice] {
            let rig = Rig::new(engine);
            let link = rig.link();
            let (sender, receiver) = link.ends(direction);
            let pattern = Pattern::new(5);
            exchange(sender, receiver, b"little");
            pattern.pass(sender, receiver, 0..4 * MIB);
            drop(link);
            let totals = rig.forwarder.settled();
            let expected = if engine == Engine::Splice {
                4 * MIB + 6
            } else {
                0
            };
            assert_eq!(totals.bytes_spliced, expected as u64);
            assert_eq!(totals.splice_fallbacks, 0);
        }
    });
}

#[test]
fn without_a_free_pipe_bulk_is_copied_and_that_is_counted() {
    for_each_bulk_case(|engine, direction| {
        let rig = Rig::with(engine, |config| {
            config.workers = NonZeroUsize::new(1);
            config.relay.max_pipes = NonZeroUsize::new(1);
        });
        let pattern = Pattern::new(6);
        // One connection holds the only pipe, since its receiver takes nothing.
        let holding = rig.link();
        let (sender, receiver) = holding.ends(direction);
        let stuck = send_until_stuck(sender, &pattern, 64 * KIB);
        let before = rig.forwarder.totals();
        assert!(before.bytes_spliced > 0, "it splices");

        let link = rig.link();
        let (second_sender, second_receiver) = link.ends(direction);
        pattern.pass(second_sender, second_receiver, 0..16 * MIB);
        let totals = rig.forwarder.totals();
        assert_eq!(
            totals.bytes_spliced, before.bytes_spliced,
            "the other one copies"
        );
        assert!(
            totals.splice_fallbacks > before.splice_fallbacks,
            "and that is counted"
        );

        pattern.receive(receiver, 0..stuck);
        exchange(sender, receiver, b"and on");
    });
}

#[test]
fn many_bulk_connections_share_one_pipe() {
    for_each_bulk_case(|engine, direction| {
        let rig = Rig::with(engine, |config| {
            config.relay.max_pipes = NonZeroUsize::new(1); // of the process, not of each worker
        });
        let links: Vec<_> = (0..8).map(|_| rig.link()).collect();
        thread::scope(|scope| {
            for (seed, link) in (0..).zip(&links) {
                let (sender, receiver) = link.ends(direction);
                scope.spawn(move || {
                    pass_to_end(&Pattern::new(seed), sender, receiver, 0..4 * MIB);
                });
            }
        });
        assert!(
            rig.forwarder.totals().bytes_spliced > 0,
            "one of them splices"
        );
    });
}

#[test]
fn pipes_and_descriptors_return_to_the_start() {
    for_each_process(&[], |process, origin, direction| {
        let before = process.files();
        let links: Vec<_> = (0..4).map(|_| Link::open(process.addr(), origin)).collect();
        let pattern = Pattern::new(7);
        for (index, link) in links.iter().enumerate() {
            let (sender, receiver) = link.ends(direction);
            pattern.pass(sender, receiver, 0..8 * MIB);
            if index % 2 == 0 {
                send_until_stuck(sender, &pattern, 64 * KIB); // it ends with bytes under way
            }
        }
        assert!(process.files() >= before + 2 * links.len());
        drop(links);
        eventually("all descriptors are closed", || process.files() == before);
    });
}

/// The engines that splice, and both directions.
fn for_each_bulk_case(case: impl Fn(Engine, Direction) + Sync) {
    for_each_case(|engine, direction| {
        if engine != Engine::Copy {
            case(engine, direction);
        }
    });
}

fn both_ways(case: impl Fn(Direction) + Sync) {
    let ways = [Direction::ToUpstream, Direction::ToClient];
    all_at_once(
        ways.map(|direction| (format!("{direction:?}"), direction)),
        case,
    );
}

fn counted(rig: &Rig) -> u64 {
    let totals = rig.forwarder.totals();
    totals.bytes_to_upstream + totals.bytes_to_client
}
