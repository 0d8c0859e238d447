//! What goes in comes out: every byte, in order, both ways, and the counters say so.

mod support;

use std::{
    io::{self, Write},
    net::{Shutdown, TcpStream},
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use self::support::{
    Direction, End, Pattern, Rig, connect, exchange, for_each_case, for_each_engine, pass_to_end,
    read_out,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn every_size_arrives_byte_exact_and_is_counted() {
    for_each_case(|engine, direction| {
        let rig = Rig::new(engine);
        let sizes = [0, 1, KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB];
        for (seed, size) in (0..).zip(sizes) {
            let link = rig.link();
            let (sender, receiver) = link.ends(direction);
            let pattern = Pattern::new(seed);
            pass_to_end(&pattern, sender, receiver, 0..size);
        }
        let totals = rig.forwarder.settled();
        let sent = sizes.iter().sum::<usize>() as u64;
        assert_eq!(
            (totals.bytes_to_upstream, totals.bytes_to_client),
            match direction {
                Direction::ToUpstream => (sent, 0),
                Direction::ToClient => (0, sent),
            }
        );
        assert_eq!((totals.accepted, totals.failed), (sizes.len() as u64, 0));
    });
}

#[test]
fn large_transfers_arrive_byte_exact() {
    const SIZE: usize = 64 * MIB;
    for_each_case(|engine, direction| {
        let rig = Rig::new(engine);
        let link = rig.link();
        let (sender, receiver) = link.ends(direction);
        let pattern = Pattern::new(64);
        pass_to_end(&pattern, sender, receiver, 0..SIZE);
        drop(link);
        let totals = rig.forwarder.settled();
        assert_eq!(
            totals.bytes_to_upstream + totals.bytes_to_client,
            SIZE as u64
        );
    });
}

#[test]
fn both_directions_at_once_do_not_mix_and_are_counted_apart() {
    const UP: usize = 12 * MIB + 1;
    const DOWN: usize = 16 * MIB - 1;
    for_each_engine(|engine| {
        let rig = Rig::new(engine);
        let link = rig.link();
        let (up, down) = (Pattern::new(1), Pattern::new(2));
        thread::scope(|scope| {
            scope.spawn(|| up.send(&link.client, 0..UP));
            scope.spawn(|| down.send(&link.server, 0..DOWN));
            scope.spawn(|| down.receive(&link.client, 0..DOWN));
            up.receive(&link.server, 0..UP);
        });
        drop(link);
        let totals = rig.forwarder.settled();
        assert_eq!(totals.bytes_to_upstream, UP as u64);
        assert_eq!(totals.bytes_to_client, DOWN as u64);
    });
}

#[test]
fn messages_go_back_and_forth_on_a_connection_that_stays() {
    for_each_case(|engine, direction| {
        let rig = Rig::new(engine);
        let link = rig.link();
        let (asking, answering) = link.ends(direction);
        let pattern = Pattern::new(3);
        let mut offset = 0;
        for size in [1, 100, 9, 64 * KIB, 3, 200 * KIB, 1].repeat(20) {
            exchange(asking, answering, b"?");
            thread::scope(|scope| {
                scope.spawn(|| pattern.send_in(answering, offset..offset + size, size..=size));
                pattern.receive(asking, offset..offset + size);
            });
            offset += size;
        }
    });
}

#[test]
fn a_message_passes_beside_bulk_on_the_same_worker() {
    for_each_case(|engine, direction| {
        let rig = Rig::with(engine, |config| config.workers = NonZeroUsize::new(1));
        let bulk: Vec<_> = (0..2).map(|_| rig.link()).collect();
        let small = rig.link();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for link in &bulk {
                let (mut sender, receiver) = link.ends(direction);
                let over = &over;
                scope.spawn(move || {
                    let chunk = vec![0; MIB];
                    while !over.load(Ordering::Relaxed) {
                        sender.write_all(&chunk).unwrap();
                    }
                    sender.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || io::copy(&mut { receiver }, &mut io::sink()).unwrap());
            }
            for _ in 0..100 {
                small.round_trip();
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_client_that_speaks_before_the_server_is_reached_loses_nothing() {
    for_each_engine(|engine| {
        let rig = Rig::new(engine);
        for seed in 0..50 {
            let pattern = Pattern::new(seed);
            let mut client = connect(rig.forwarder.addr());
            client.write_all(pattern.slice(0, 1000)).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let server = rig.origin.accept();
            pattern.receive(&server, 0..1000);
            assert_ended(&server);
        }
        assert_eq!(rig.forwarder.settled().bytes_to_upstream, 50_000);
    });
}

/// The stream is over, in order.
fn assert_ended(receiver: &TcpStream) {
    let (rest, end) = read_out(receiver);
    assert_eq!((rest.len(), end), (0, End::Fin));
}
