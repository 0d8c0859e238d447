//! What was taken from one side is delivered to the other before an end is passed on: delivered means
//! acknowledged by the peer's kernel, however slowly that goes; and who reads slowly is not silent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use self::support::{
    Direction, End, Line, Link, Network, Origin, Pattern, Process, connect, connections,
    eventually, for_each_process, installed, is_reset, read_out, reset, send_until_stuck, skip,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Makes a receiver's kernel take little, so that the bytes wait in the forwarder's.
fn narrow(receiver: &TcpStream) {
    SockRef::from(receiver)
        .set_recv_buffer_size(8 * KIB)
        .unwrap();
}

/// Reads a stream from its start to its end, `rate` bytes a second.
fn read_slowly(mut from: &TcpStream, rate: usize) -> (Vec<u8>, End) {
    let started = Instant::now();
    let mut bytes = Vec::new();
    let mut space = [0; 4 * KIB];
    loop {
        let due = Duration::from_secs_f64(bytes.len() as f64 / rate as f64);
        thread::sleep(due.saturating_sub(started.elapsed())); // a slow reader is what this is about
        match from.read(&mut space) {
            Ok(0) => return (bytes, End::Fin),
            Ok(count) => bytes.extend_from_slice(&space[..count]),
            Err(_) => return (bytes, End::Reset),
        }
    }
}

/// The record's counts of one way: bytes that left, and those of them that were not delivered.
fn counts(record: &Line, way: Direction) -> (usize, usize) {
    let undelivered = |name| record.get(name).map_or(0, |_| record.number(name));
    match way {
        Direction::ToUpstream => (
            record.number("bytes_to_upstream"),
            undelivered("undelivered_to_upstream"),
        ),
        Direction::ToClient => (
            record.number("bytes_to_client"),
            undelivered("undelivered_to_client"),
        ),
    }
}

fn sender_name(way: Direction) -> &'static str {
    match way {
        Direction::ToUpstream => "client",
        Direction::ToClient => "upstream",
    }
}

#[test]
fn a_reset_with_or_without_a_fin_before_it_comes_after_all_that_was_sent() {
    for_each_process(&[], |process, origin, way| {
        for fin in [false, true] {
            let link = Link::open(process.addr(), origin);
            link.round_trip();
            let client = link.client.local_addr().unwrap();
            let (sender, receiver) = link.into_ends(way);
            narrow(&receiver);
            let pattern = Pattern::new(1);
            pattern.send(&sender, 0..MIB);
            if fin {
                sender.shutdown(Shutdown::Write).unwrap();
            }
            // A reset tells its sender's kernel to forget what it has not sent yet.
            eventually("all of it is acknowledged", || {
                tcp_info::send_queue(&sender).unwrap() == 0
            });
            reset(sender);
            pattern.receive(&receiver, 0..MIB);
            let expected = if fin { End::Fin } else { End::Reset };
            assert_eq!(read_out(&receiver), (Vec::new(), expected));
            let record = process.record_of(client);
            assert_eq!(record.text("closed_by"), sender_name(way), "{record:?}");
            assert_eq!(record.text("reason"), "reset");
            assert_eq!(counts(&record, way), (MIB + 4, 0));
        }
    });
}

#[test]
fn a_slow_reader_is_not_silent() {
    const SIZE: usize = 600 * KIB;
    let bounds = [
        ["--half-close-timeout", "1s"],
        ["--idle-timeout", "1s"],
        ["--max-lifetime", "1s"],
    ];
    thread::scope(|scope| {
        for bound in bounds {
            scope.spawn(move || {
                for_each_process(&bound, |process, origin, way| {
                    let link = Link::open(process.addr(), origin);
                    let (sender, receiver) = link.ends(way);
                    narrow(receiver);
                    let pattern = Pattern::new(2);
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            pattern.send(sender, 0..SIZE);
                            sender.shutdown(Shutdown::Write).unwrap();
                        });
                        let (bytes, end) = read_slowly(receiver, 100 * KIB); // for six seconds
                        pattern.check(0, &bytes);
                        assert_eq!((bytes.len(), end), (SIZE, End::Fin), "{bound:?}");
                    });
                });
            });
        }
    });
}

#[test]
fn whoever_stops_reading_is_cut_and_the_record_says_what_was_not_delivered() {
    let flags = ["--half-close-timeout", "1s", "--user-timeout", "off"];
    for_each_process(&flags, |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (sender, receiver) = link.ends(way);
        narrow(receiver);
        let pattern = Pattern::new(3);
        pattern.send(sender, 0..MIB);
        sender.shutdown(Shutdown::Write).unwrap();
        let record = process.record_of(client);
        assert_eq!(record.end(), ("proxy", "half_close_timeout", ""));
        eventually("both are reset", || is_reset(sender) && is_reset(receiver));
        // What the receiver's kernel has, it has acknowledged.
        let (bytes, _) = read_out(receiver);
        pattern.check(0, &bytes);
        let (left, undelivered) = counts(&record, way);
        assert!(undelivered > 0, "{record:?}");
        assert_eq!(left - undelivered, bytes.len(), "{record:?}");
    });
}

#[test]
fn what_a_connection_past_its_life_has_taken_is_delivered() {
    for_each_process(&["--max-lifetime", "1s"], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (sender, receiver) = link.ends(way);
        SockRef::from(receiver)
            .set_recv_buffer_size(64 * KIB)
            .unwrap();
        let pattern = Pattern::new(4);
        let taken = send_until_stuck(sender, &pattern, 64 * KIB);
        thread::scope(|scope| {
            scope.spawn(|| {
                // It never rests: a second is followed by ten of grace.
                let mut at = taken;
                let mut sender = sender;
                while let Ok(count) = sender.write(pattern.slice(at, 64 * KIB)) {
                    at += count;
                }
            });
            let (bytes, end) = read_slowly(receiver, 4 * MIB);
            pattern.check(0, &bytes);
            assert_eq!(end, End::Reset);
            let record = process.record_of(client);
            assert_eq!(record.end(), ("proxy", "max_lifetime", ""));
            assert_eq!(counts(&record, way), (bytes.len(), 0));
        });
    });
}

#[test]
fn who_only_writes_to_a_side_that_is_gone_is_told() {
    let flags = ["--half-close-timeout", "1h", "--user-timeout", "off"];
    for_each_process(&flags, |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (writing, answering) = link.into_ends(way);
        let pattern = Pattern::new(5);
        // Neither reads what the other writes, until nobody takes any more.
        send_until_stuck(&answering, &pattern, 64 * KIB);
        send_until_stuck(&writing, &pattern, 64 * KIB);
        reset(answering);
        eventually("it is told", || is_reset(&writing));
        assert_eq!(process.record_of(client).text("reason"), "reset");
    });
}

#[test]
fn who_does_not_read_for_a_while_and_writes_nothing_gets_all_of_the_answer() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let (sender, receiver) = link.into_ends(way);
        SockRef::from(&receiver)
            .set_recv_buffer_size(64 * KIB)
            .unwrap();
        let pattern = Pattern::new(6);
        send_until_stuck(&sender, &pattern, 64 * KIB);
        let taken = {
            let page = connections(process.admin(), "");
            let name = match way {
                Direction::ToUpstream => "bytes_to_upstream",
                Direction::ToClient => "bytes_to_client",
            };
            usize::try_from(page["connections"][0][name].as_u64().unwrap()).unwrap()
        };
        reset(sender);
        // Sweeps find it stalled, several times.
        thread::sleep(Duration::from_secs(9)); // a reader that pauses is what this is about
        let (bytes, end) = read_out(&receiver);
        pattern.check(0, &bytes);
        assert_eq!(end, End::Reset);
        assert!(bytes.len() >= taken, "{} of {taken} bytes", bytes.len());
    });
}

#[test]
fn a_link_that_loses_packets_loses_no_byte_that_was_acknowledged() {
    const CLIENTS: usize = 100;
    const SIZE: usize = 300 * KIB;
    let Some(network) = Network::new() else {
        return;
    };
    if !installed("iptables") {
        return;
    }
    network.inside(|| {
        let origin = Origin::bind();
        let process = Process::start(origin.addr(), &[]);
        if !lose_packets(process.addr().port()) {
            return skip("iptables may not drop packets here");
        }
        let pattern = Pattern::new(7);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::scope(|scope| {
                    for _ in 0..CLIENTS {
                        let server = origin.accept();
                        scope.spawn(|| answer_and_reset(server, &pattern, SIZE));
                    }
                });
            });
            for _ in 0..CLIENTS {
                let client = connect(process.addr());
                scope.spawn(|| {
                    let client = client;
                    // The reset itself may get lost: nobody sends it again, through or direct.
                    pattern.receive(&client, 0..SIZE);
                });
            }
        });
    });
}

/// Has the loopback lose 3 % of the packets to and from a port, and cut them as small as on a wire;
/// says whether that can be had.
fn lose_packets(port: u16) -> bool {
    let script = "ip link set lo mtu 1500 && for end in --dport --sport; do \
        iptables -A INPUT -p tcp $end $0 -m statistic --mode random --probability 0.03 -j DROP || exit; \
        done";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(port.to_string())
        .status();
    status.unwrap().success()
}

/// Sends an answer, and a reset as soon as all of it is acknowledged.
fn answer_and_reset(server: TcpStream, pattern: &Pattern, size: usize) {
    pattern.send(&server, 0..size);
    eventually("all of it is acknowledged", || {
        tcp_info::send_queue(&server).unwrap() == 0
    });
    reset(server);
}
