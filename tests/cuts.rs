//! Whatever is not a proper end is a reset to both sides, with a record, at once: a cut in a burst of
//! dials, a kill, and failures of this host's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::{
    net::{SendFlags, send},
    process::Signal,
};

use socket2::SockRef;

use self::support::{
    BINARY, Echo, End, Line, Link, Origin, Pattern, Process, SetOnDrop, connect, eventually,
    exchange, for_each_process, is_reset, patient, read_out, send_until_stuck, told,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Answers every connection with a part of an answer, and keeps it open until `over`.
fn answer_in_part(origin: &Origin, over: &AtomicBool) {
    origin.0.set_nonblocking(true).unwrap();
    let mut open = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match origin.0.accept() {
            Ok((mut stream, _)) => {
                stream.write_all(b"half of an answ").ok(); // it may be gone already
                open.push(stream);
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Dials until `over` or nobody answers any more, and returns who got through.
fn dial(to: SocketAddr, over: &AtomicBool) -> Vec<TcpStream> {
    let mut dialled = Vec::new();
    while !over.load(Ordering::Relaxed) && dialled.len() < 1500 {
        match TcpStream::connect(to) {
            Ok(stream) => dialled.push(patient(stream)),
            Err(_) => break,
        }
    }
    dialled
}

/// Ends a forwarder in the middle of a burst of dials. Nobody may take what it got for all of it, and
/// each connection that was accepted has a record.
fn cut_in_a_burst(flags: &[&str], signals: &[Signal]) {
    let origin = Origin::bind();
    let mut process = Process::start(origin.addr(), flags);
    let (addr, metrics) = (process.addr(), process.admin());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = SetOnDrop(&over);
        scope.spawn(|| answer_in_part(&origin, &over));
        let dialers: Vec<_> = (0..2).map(|_| scope.spawn(|| dial(addr, &over))).collect();
        eventually("the burst is under way", || {
            support::Scrape::of(metrics).value("portamento_connections_accepted_total") >= 3.0
        });
        for signal in signals {
            process.signal(*signal);
        }
        assert_eq!(process.wait().code(), Some(0));
        let dialled = dialers
            .into_iter()
            .flat_map(|dialer| dialer.join().unwrap());
        for client in dialled {
            // Where the backlog overflowed, a client alone believes that it is connected, until it
            // says something.
            if (&client).write_all(b"?").is_err() {
                continue; // it has been reset
            }
            let (bytes, end) = read_out(&client);
            assert_eq!(end, End::Reset, "after {} bytes", bytes.len());
        }
    });
    let stopped: Line = process.lines_with("stopped").remove(0);
    assert_eq!(stopped.number("accepted"), process.records().len());
    assert_eq!(stopped.number("accepted"), stopped.number("closed"));
}

#[test]
fn a_burst_of_dials_that_is_cut_ends_in_resets_and_records() {
    for _ in 0..3 {
        cut_in_a_burst(&[], &[Signal::INT, Signal::INT]);
        cut_in_a_burst(&["--drain-timeout", "10ms"], &[Signal::TERM]);
    }
}

#[test]
fn those_who_wait_at_max_connections_are_reset_by_a_cut_and_recorded() {
    let flags = ["--max-connections", "3", "--drain-timeout", "10ms"];
    cut_in_a_burst(&flags, &[Signal::INT, Signal::INT]);
    cut_in_a_burst(&flags, &[Signal::TERM]);
}

#[test]
fn those_who_wait_at_max_connections_are_served_all_the_same_when_a_successor_comes() {
    const CLIENTS: usize = 20;
    let upstream = Echo::start();
    let flags = ["--reuse-port", "--max-connections", "4"];
    let mut old = Process::start(upstream.addr(), &flags);
    let clients: Vec<_> = (0..CLIENTS).map(|_| connect(old.addr())).collect();
    for mut client in &clients {
        client.write_all(b"ping").unwrap();
    }
    let mut successor = Command::new(BINARY);
    successor.args(["--reuse-port", "--listen", &old.addr().to_string()]);
    let _new = Process::launch(successor.args(["--upstream", &upstream.addr().to_string()]));
    old.signal(Signal::TERM);
    for mut client in &clients {
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping");
    }
    drop(clients);
    assert_eq!(old.wait().code(), Some(0));
    assert_eq!(old.records().len(), CLIENTS);
}

#[test]
fn a_kill_is_a_reset_to_both_wherever_a_connection_stands() {
    for_each_process(&[], |process, origin, way| {
        let open = Link::open(process.addr(), origin);
        open.round_trip();
        let half = Link::open(process.addr(), origin);
        half.round_trip();
        half.ends(way).0.shutdown(Shutdown::Write).unwrap();
        assert_eq!(told(half.ends(way).1), End::Fin);
        let full = Link::open(process.addr(), origin);
        send_until_stuck(full.ends(way).0, &Pattern::new(1), 64 * KIB);

        process.signal(Signal::KILL);
        for link in [&open, &half, &full] {
            eventually("both are reset", || {
                is_reset(&link.client) && is_reset(&link.server)
            });
        }
    });
}

#[test]
fn a_connection_that_has_ended_is_delivered_to_its_end_also_after_a_kill() {
    const SIZE: usize = 512 * KIB;
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (sender, receiver) = link.ends(way);
        SockRef::from(receiver)
            .set_recv_buffer_size(64 * KIB)
            .unwrap();
        let pattern = Pattern::new(2);
        pattern.send(sender, 0..SIZE);
        receiver.shutdown(Shutdown::Write).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        // Both ends of stream are passed on, and most of the bytes are in the forwarder's kernel.
        assert_eq!(process.record_of(client).text("reason"), "fin");
        process.signal(Signal::KILL);
        pattern.receive(receiver, 0..SIZE);
        assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
        assert_eq!(read_out(sender), (Vec::new(), End::Fin));
    });
}

#[test]
fn a_failure_of_this_host_resets_both_at_once_and_spares_all_others() {
    let origin = Origin::bind();
    let flags = ["--workers", "1", "--half-close-timeout", "1h"];
    let process = Process::start(origin.addr(), &flags);
    let spared = Link::open(process.addr(), &origin);
    spared.round_trip();
    let files = process.files();
    for (call, errno) in [("recvfrom", "ENOMEM"), ("sendto", "ENOBUFS")] {
        let link = Link::open(process.addr(), &origin);
        link.round_trip();
        let client = link.client.local_addr().unwrap();
        let fault = format!("error={errno}:when=1");
        let Some(injected) = process.inject(call, &fault) else {
            return;
        };
        (&link.client).write_all(b"never to arrive").unwrap();
        eventually("both are reset", || {
            is_reset(&link.client) && is_reset(&link.server)
        });
        drop(injected);
        assert_eq!(process.record_of(client).end(), ("proxy", "error", errno));
        spared.round_trip();
    }
    eventually("its files are given back", || process.files() == files);
}

#[test]
fn a_socket_that_the_reactor_does_not_take_is_reset_and_recorded() {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &["--workers", "1"]);
    for call in [1, 2] {
        let fault = format!("error=ENOSPC:when={call}");
        let Some(injected) = process.inject("epoll_ctl", &fault) else {
            return;
        };
        let client = connect(process.addr());
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        let server = origin.accept();
        eventually("the upstream is reset", || is_reset(&server));
        drop(injected);
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.text("closed_by"), "proxy", "{record:?}");
        Link::open(process.addr(), &origin).round_trip();
    }
}

#[test]
fn a_splice_that_says_nothing_is_not_believed_to_be_the_end() {
    const SIZE: usize = 8 * MIB;
    for (engine, fault) in [
        ("splice", "retval=0:when=1"),
        ("splice", "retval=0:when=4+3"),
        ("auto", "retval=0:when=2+5"),
    ] {
        let origin = Origin::bind();
        let flags = ["--workers", "1", "--engine", engine];
        let process = Process::start(origin.addr(), &flags);
        let link = Link::open(process.addr(), &origin);
        let Some(_injected) = process.inject("splice", fault) else {
            return;
        };
        support::pass_to_end(&Pattern::new(3), &link.client, &link.server, 0..SIZE);
    }
}

#[test]
fn a_sandbox_that_forbids_to_splice_makes_it_copy() {
    const SIZE: usize = 8 * MIB;
    for errno in ["EPERM", "EACCES", "ENOSYS"] {
        let origin = Origin::bind();
        let flags = ["--workers", "1", "--engine", "splice"];
        let process = Process::start(origin.addr(), &flags);
        let link = Link::open(process.addr(), &origin);
        let client = link.client.local_addr().unwrap();
        let Some(_injected) = process.inject("splice", &format!("error={errno}")) else {
            return;
        };
        support::pass_to_end(&Pattern::new(4), &link.client, &link.server, 0..SIZE);
        drop(link);
        assert_eq!(process.record_of(client).text("path"), "copy", "{errno}");
    }
}

#[test]
fn bytes_behind_an_urgent_mark_arrive_before_the_end() {
    for_each_process(&[], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let (sender, receiver) = link.ends(way);
        let pattern = Pattern::new(5);
        process.frozen(|| {
            pattern.send(sender, 0..64 * KIB);
            assert_eq!(send(sender, b"!", SendFlags::OOB).unwrap(), 1);
            pattern.send(sender, 64 * KIB..65 * KIB);
            sender.shutdown(Shutdown::Write).unwrap();
        });
        pattern.receive(receiver, 0..65 * KIB);
        assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
    });
}

#[test]
fn larger_pipes_than_may_be_had_are_as_large_as_may_be() {
    let origin = Origin::bind();
    let flags = ["--engine", "splice", "--pipe-size", "64MiB"];
    let process = Process::start(origin.addr(), &flags);
    let granted = support::Scrape::of(process.admin()).value("portamento_pipe_size_bytes");
    assert!(granted >= 256.0 * 1024.0, "{granted}");
    let link = Link::open(process.addr(), &origin);
    let client = link.client.local_addr().unwrap();
    support::pass_to_end(&Pattern::new(6), &link.client, &link.server, 0..4 * MIB);
    drop(link);
    let path = process.record_of(client);
    assert!(["splice", "both"].contains(&path.text("path")), "{path:?}");
}

/// Links that sweeps have seen: their silence counts from then on.
fn swept_links(process: &Process, origin: &Origin) -> Vec<Link> {
    let links: Vec<_> = (0..20)
        .map(|_| Link::open(process.addr(), origin))
        .collect();
    links.iter().for_each(Link::round_trip);
    thread::sleep(Duration::from_millis(1500)); // sweeps are a second apart, and nothing tells of one
    links
}

#[test]
fn a_process_that_was_held_still_cuts_nobody_who_spoke_meanwhile() {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &["--idle-timeout", "3s"]);
    let links = swept_links(&process, &origin);
    process.frozen(|| {
        thread::sleep(Duration::from_secs(5)); // longer than the bound: what this is about
        for link in &links {
            (&link.client).write_all(b"still here").unwrap();
        }
    });
    for link in &links {
        let mut said = [0; 10];
        (&link.server).read_exact(&mut said).unwrap();
        assert_eq!(&said, b"still here");
        exchange(&link.server, &link.client, b"so are we");
    }
}

#[test]
fn a_worker_that_was_held_up_cuts_nobody_who_spoke_meanwhile() {
    let origin = Origin::bind();
    let flags = ["--workers", "1", "--idle-timeout", "3s"];
    let process = Process::start(origin.addr(), &flags);
    let links = swept_links(&process, &origin);
    let Some(_injected) = process.inject("recvfrom", "delay_enter=5000000:when=1") else {
        return;
    };
    for _ in 0..10 {
        for link in &links {
            (&link.client).write_all(b"word").unwrap();
        }
        thread::sleep(Duration::from_millis(500)); // they speak while the worker is held up
    }
    for link in &links {
        let mut said = [0; 40];
        (&link.server).read_exact(&mut said).unwrap();
        assert_eq!(said.as_slice(), b"word".repeat(10));
    }
    assert_eq!(process.records().len(), 0);
}

#[test]
fn silence_is_still_cut_and_the_direction_does_not_matter() {
    for_each_process(&["--idle-timeout", "1s"], |process, origin, way| {
        let link = Link::open(process.addr(), origin);
        let client = link.client.local_addr().unwrap();
        let (one, other) = link.ends(way);
        exchange(one, other, b"the last word");
        assert_eq!(process.record_of(client).text("reason"), "idle_timeout");
        eventually("both are reset", || is_reset(one) && is_reset(other));
    });
}
