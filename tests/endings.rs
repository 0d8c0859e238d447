//! Every end of one side is told to the other as what it is, after what was sent before it; and the
//! record says who ended the connection, and why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
};

use socket2::SockRef;

use self::support::{
    Direction, End, Link, Pattern, Rig, eventually, exchange, for_each_case, for_each_process,
    is_reset, read_out, reset, send_until_stuck, told,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How a side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It sends no more.
    Fin,
    /// It ends at once.
    Reset,
    /// It closes with bytes unread, as the kernel does for a process that is killed.
    Kill,
}

const ENDINGS: [Ending; 3] = [Ending::Fin, Ending::Reset, Ending::Kill];

#[test]
fn every_pair_of_endings_is_told_and_recorded() {
    for_each_process(&[], |process, origin, way| {
        for first in ENDINGS {
            for second in ENDINGS {
                let link = Link::open(process.addr(), origin);
                link.round_trip(); // it stands on both sides
                let client = link.client.local_addr().unwrap();
                let (one, other) = link.into_ends(way);
                leave_unread(first, &one, &other);
                leave_unread(second, &other, &one);

                let one = end(first, one);
                let Some(one) = one else {
                    assert_eq!(told(&other), End::Reset, "{first:?}");
                    let record = process.record_of(client);
                    assert_eq!(
                        record.end(),
                        (sides(way).0, "reset", "ECONNRESET"),
                        "{first:?}"
                    );
                    continue;
                };
                assert_eq!(told(&other), End::Fin);
                let _other = end(second, other);
                let expected = if second == Ending::Fin {
                    (End::Fin, (sides(way).0, "fin", ""))
                } else {
                    (End::Reset, (sides(way).1, "reset", "ECONNRESET"))
                };
                let seen = told(&one);
                let record = process.record_of(client);
                assert_eq!((seen, record.end()), expected, "{first:?}, then {second:?}");
            }
        }
    });
}

#[test]
fn silence_is_ended_by_a_reset_to_both() {
    let flags = ["--idle-timeout", "3s", "--half-close-timeout", "1s"];
    for_each_process(&flags, |process, origin, way| {
        let silent = Link::open(process.addr(), origin);
        let half = Link::open(process.addr(), origin);
        half.round_trip();
        half.ends(way).0.shutdown(Shutdown::Write).unwrap();
        for (link, reason) in [(half, "half_close_timeout"), (silent, "idle_timeout")] {
            let record = process.record_of(link.client.local_addr().unwrap());
            assert_eq!(record.end(), ("proxy", reason, ""));
            eventually("both are reset", || {
                is_reset(&link.client) && is_reset(&link.server)
            });
        }
    });
}

#[test]
fn a_fin_is_passed_on_at_once_and_the_other_direction_lives_on() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let (asking, mut answering) = link.ends(way);
        let pattern = Pattern::new(1);
        pattern.send(asking, 0..100 * KIB);
        asking.shutdown(Shutdown::Write).unwrap();
        pattern.receive(answering, 0..100 * KIB);
        assert_eq!(read_out(answering), (Vec::new(), End::Fin));

        exchange(answering, asking, b"yes?");
        pattern.pass(answering, asking, 0..10 * MIB);
        answering.write_all(b"over").unwrap();
        answering.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(asking), (b"over".to_vec(), End::Fin));

        let record = process.record_of(link.client.local_addr().unwrap());
        assert_eq!(record.end(), (sides(way).0, "fin", ""));
        let (asked, answered) = match way {
            Direction::ToUpstream => ("bytes_to_upstream", "bytes_to_client"),
            Direction::ToClient => ("bytes_to_client", "bytes_to_upstream"),
        };
        assert_eq!(record.number(asked), 100 * KIB);
        assert_eq!(record.number(answered), 10 * MIB + 8);
    });
}

#[test]
fn a_reset_comes_after_all_that_was_read_before_it() {
    const SIZE: usize = 512 * KIB;
    for_each_case(|engine, way| {
        let rig = Rig::new(engine);
        let (sender, receiver) = rig.link().into_ends(way);
        SockRef::from(&receiver)
            .set_recv_buffer_size(64 * KIB)
            .unwrap();
        let pattern = Pattern::new(2);
        pattern.send(&sender, 0..SIZE);
        eventually("the forwarder has read and written all of it", || {
            let totals = rig.forwarder.totals();
            totals.bytes_to_upstream + totals.bytes_to_client == SIZE as u64
        });
        reset(sender);
        pattern.receive(&receiver, 0..SIZE);
        assert_eq!(read_out(&receiver), (Vec::new(), End::Reset));
        assert_eq!(rig.forwarder.settled().failed, 1);
    });
}

#[test]
fn a_reset_behind_bytes_that_wait_for_a_reader_comes_after_them() {
    for_each_case(|engine, way| {
        let rig = Rig::new(engine);
        let (sender, receiver) = rig.link().into_ends(way);
        let pattern = Pattern::new(3);
        send_until_stuck(&sender, &pattern, 64 * KIB);
        let totals = rig.forwarder.totals();
        let written = totals.bytes_to_upstream + totals.bytes_to_client;
        reset(sender);
        let (bytes, end) = read_out(&receiver);
        pattern.check(0, &bytes);
        assert_eq!(end, End::Reset);
        assert!(
            bytes.len() as u64 > written,
            "what the forwarder held has come, too"
        );
    });
}

#[test]
fn a_reset_behind_a_fin_is_passed_on_while_the_other_side_is_silent() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        link.round_trip();
        let client = link.client.local_addr().unwrap();
        let (one, other) = link.into_ends(way);
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(told(&other), End::Fin);
        reset(one);
        eventually("the reset is told", || is_reset(&other));
        let record = process.record_of(client);
        let (by, reason, errno) = record.end();
        assert_eq!((by, reason), (sides(way).0, "reset"));
        assert!(["EPIPE", "ECONNRESET"].contains(&errno), "{record:?}");
    });
}

#[test]
fn who_writes_to_a_side_that_has_closed_is_told() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        link.round_trip();
        let client = link.client.local_addr().unwrap();
        let (closing, mut writing) = link.into_ends(way);
        drop(closing);
        assert_eq!(told(&writing), End::Fin);
        eventually("a write fails", || writing.write_all(&[0; KIB]).is_err());
        let record = process.record_of(client);
        assert_eq!(
            (record.text("closed_by"), record.text("reason")),
            (sides(way).0, "reset")
        );
    });
}

#[test]
fn a_sender_that_nobody_reads_is_told_of_a_reset() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (sender, receiver) = link.into_ends(way);
        send_until_stuck(&sender, &Pattern::new(4), 64 * KIB);
        reset(receiver);
        eventually("the sender is told", || is_reset(&sender));
        let record = process.record_of(client);
        assert_eq!(
            (record.text("closed_by"), record.text("reason")),
            (sides(way).1, "reset")
        );
    });
}

#[test]
fn a_sender_that_resets_is_not_kept_for_ever_by_a_reader_that_does_not_read() {
    for_each_process(
        &["--half-close-timeout", "1s", "--user-timeout", "off"],
        |process, origin, way| {
            let link = Link::open(process.addr(), origin);
            let client = link.client.local_addr().unwrap();
            let (sender, receiver) = link.into_ends(way);
            send_until_stuck(&sender, &Pattern::new(5), 64 * KIB);
            reset(sender);
            let record = process.record_of(client);
            assert_eq!(record.text("closed_by"), sides(way).0, "{record:?}");
            eventually("the reader is told", || is_reset(&receiver));
        },
    );
}

#[test]
fn the_answer_of_a_server_that_closes_with_the_request_unread_arrives() {
    for_each_process(&[], |process, origin, way| {
        for size in [100, 16 * KIB] {
            let link = Link::open(process.addr(), origin);
            let client = link.client.local_addr().unwrap();
            let (asking, mut answering) = link.into_ends(way);
            Pattern::new(6).send(&asking, 0..20 * KIB);
            answering.peek(&mut [0]).unwrap(); // some of it is there, and stays
            let answer = vec![b'!'; size];
            answering.write_all(&answer).unwrap();
            drop(answering);
            let (received, end) = read_out(&asking);
            assert_eq!((received.len(), end), (size, End::Reset));
            assert_eq!(
                process.record_of(client).end(),
                (sides(way).1, "reset", "ECONNRESET")
            );
        }
    });
}

/// Leaves bytes unread on a side that is to be killed.
fn leave_unread(ending: Ending, side: &TcpStream, mut from: &TcpStream) {
    if ending == Ending::Kill {
        from.write_all(b"unread").unwrap();
        eventually("they arrive", || side.peek(&mut [0; 6]).unwrap() == 6);
    }
}

/// Ends a side, which is still there if it can still read.
fn end(ending: Ending, stream: TcpStream) -> Option<TcpStream> {
    match ending {
        Ending::Fin => {
            stream.shutdown(Shutdown::Write).unwrap();
            return Some(stream);
        }
        Ending::Reset => reset(stream),
        Ending::Kill => drop(stream),
    }
    None
}

/// The names of both sides in the records, the sender's first.
fn sides(way: Direction) -> (&'static str, &'static str) {
    match way {
        Direction::ToUpstream => ("client", "upstream"),
        Direction::ToClient => ("upstream", "client"),
    }
}
