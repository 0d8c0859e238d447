//! What is bounded: memory under back-pressure, connections, descriptors, time; and what a client
//! sees of an upstream that is not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    num::NonZeroUsize,
    process::Command,
    time::{Duration, Instant},
};

use portamento::config::{Engine, Forward, ListenAddr, UpstreamAddr};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

use self::support::{
    BINARY, BlackHole, Echo, End, Forwarder, Link, Nobody, Origin, PATIENCE, Pattern, Process, Rig,
    can_mount, config_for, connect, echo_once, eventually, eventually_some, exchange,
    for_each_case, is_reset, pass_to_end, read_out, send_until_stuck, skip, told,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn a_slow_reader_holds_its_sender_back_and_gets_every_byte() {
    for_each_case(|engine, way| {
        let rig = Rig::with(engine, |config| {
            config.sockets.rcvbuf = Some(64 * KIB);
            config.sockets.sndbuf = Some(64 * KIB);
        });
        let link = rig.link();
        let (sender, receiver) = link.ends(way);
        SockRef::from(sender)
            .set_send_buffer_size(64 * KIB)
            .unwrap();
        let pattern = Pattern::new(1);
        let sent = send_until_stuck(sender, &pattern, 64 * KIB);
        // The receiver's kernel, a pipe or a buffer, two sockets on each side.
        assert!(
            sent < 16 * MIB,
            "{sent} bytes are kept for a reader that reads none"
        );

        pass_to_end(&pattern, sender, receiver, sent..sent + 8 * MIB);
    });
}

#[test]
fn a_refused_upstream_resets_the_client() {
    let nobody = Nobody::new();
    let process = Process::start(nobody.addr(), &[]);
    for _ in 0..20 {
        let client = connect(process.addr());
        let asked = Instant::now();
        assert_eq!(read_out(&client), (Vec::new(), End::Reset));
        assert!(asked.elapsed() < PATIENCE / 2);
        let record = process.record_of(client.local_addr().unwrap());
        assert_eq!(record.end(), ("upstream", "refused", "ECONNREFUSED"));
        assert_eq!(record.get("connect_ms"), None);
    }
}

#[test]
fn a_refused_upstream_is_tried_again_as_long_as_it_is_told_to() {
    let nobody = Nobody::new();
    let process = Process::start(nobody.addr(), &["--connect-retry", "500ms"]);
    let asked = Instant::now();
    let client = connect(process.addr());
    assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    // It ends with the last try, some pauses before the time is over.
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("upstream", "refused", "ECONNREFUSED"));
}

#[test]
fn a_late_upstream_is_waited_for() {
    let nobody = Nobody::new();
    let process = Process::start(nobody.addr(), &["--connect-retry", "1h"]);
    let mut client = connect(process.addr());
    client.write_all(b"early").unwrap();
    let other = Nobody::new(); // its forwarder refuses at once: as long as this takes, the first waits
    let refusing = Process::start(other.addr(), &[]);
    assert_eq!(read_out(connect(refusing.addr())).1, End::Reset);
    assert_eq!(process.records().len(), 0);

    let origin = nobody.listen();
    let mut server = origin.accept();
    let mut early = [0; 5];
    server.read_exact(&mut early).unwrap();
    assert_eq!(&early, b"early");
    Link { client, server }.round_trip();
}

#[test]
fn a_black_hole_is_given_up_after_the_connect_timeout() {
    let hole = BlackHole::new();
    let process = Process::start(hole.addr(), &["--connect-timeout", "600ms"]);
    let asked = Instant::now();
    let client = connect(process.addr());
    assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    assert!(asked.elapsed() >= Duration::from_millis(600));
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("upstream", "connect_timeout", ""));
}

#[test]
fn a_black_hole_delays_nobody_else() {
    let (hole, echo) = (BlackHole::new(), Echo::start());
    let mut command = Command::new(BINARY);
    command.args(["--workers", "1", "--connect-timeout", "1h"]);
    for upstream in [hole.addr(), echo.addr()] {
        command.args(["--forward", &format!("127.0.0.1:0={upstream}")]);
    }
    let process = Process::launch(&mut command);
    let [stuck, fine] = process.addrs()[..] else {
        panic!("two listeners")
    };
    let _waiting: Vec<_> = (0..20).map(|_| connect(stuck)).collect();
    for _ in 0..20 {
        echo_once(&connect(fine), b"hello");
    }
}

#[test]
fn a_name_that_does_not_resolve_resets_the_client() {
    let process = Process::start("no-such-host.invalid:9", &["--connect-timeout", "1h"]);
    let client = connect(process.addr());
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap(); // resolvers have their own idea
    assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("upstream", "resolve", ""));
}

#[test]
fn every_address_of_a_name_is_tried() {
    // A name of several addresses needs an /etc/hosts of one's own.
    if !can_mount() {
        return;
    }
    // The resolver sorts: those in front of and behind the one that listens refuse.
    let (origin, _nobody) = eventually_some("three addresses have a port free", || {
        let origin = Origin::from(TcpListener::bind("127.0.0.2:0").unwrap());
        let at = |last| Nobody::at(([127, 0, 0, last], origin.addr().port()).into()).ok();
        let nobody = (at(1)?, at(3)?);
        Some((origin, nobody))
    });
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let names = [1, 2, 3].map(|last| format!("127.0.0.{last} three.test\n"));
    std::fs::write(hosts.path(), names.concat()).unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(hosts.path())
        .arg(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--access-log", "all"]);
    command.args([
        "--upstream",
        &format!("three.test:{}", origin.addr().port()),
    ]);
    let process = Process::launch(&mut command);
    let link = Link::open(process.addr(), &origin);
    link.round_trip();
    let client = link.client.local_addr().unwrap();
    drop(link);
    let record = process.record_of(client);
    assert_eq!(record.text("upstream"), origin.addr().to_string());
}

#[test]
fn beyond_max_connections_clients_wait_for_one_to_end() {
    let (one, other) = (Origin::bind(), Origin::bind());
    let mut config = config_for(one.addr(), Engine::Auto);
    config.max_connections = NonZeroUsize::new(2);
    let listen = ListenAddr::Ip((Ipv4Addr::LOCALHOST, 0).into());
    config.forwards.push(Forward {
        listen,
        upstream: UpstreamAddr::Ip(other.addr()),
    });
    let forwarder = Forwarder::start(config);
    let [to_one, to_other] = forwarder.addrs()[..] else {
        panic!("two listeners")
    };

    let first = Link::open(to_one, &one);
    let second = Link::open(to_other, &other);
    let mut waiting = [connect(to_one), connect(to_other)];
    for client in &mut waiting {
        client.write_all(b"I wait").unwrap();
    }
    for _ in 0..500 {
        first.round_trip();
        second.round_trip();
    }
    assert_eq!(
        (forwarder.totals().accepted, forwarder.totals().active),
        (2, 2)
    );

    // Any end makes room, for whichever listener.
    drop(first);
    eventually("one more is accepted", || forwarder.totals().accepted == 3);
    for _ in 0..500 {
        second.round_trip();
    }
    assert_eq!(
        (forwarder.totals().accepted, forwarder.totals().active),
        (3, 2)
    );
    drop(second);
    for (client, origin) in waiting.iter().zip([&one, &other]) {
        let mut server = origin.accept();
        let mut said = [0; 6];
        server.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"I wait");
        exchange(&server, client, b"served");
    }
    assert_eq!(forwarder.totals().accepted, 4);
}

#[test]
fn without_descriptors_clients_wait_and_the_listener_lives() {
    let echo = Echo::start();
    let process = Process::start(
        echo.addr(),
        &["--max-connections", "1000", "--workers", "1"],
    );
    let served: Vec<_> = (0..3).map(|_| connect(process.addr())).collect();
    served
        .iter()
        .for_each(|client| echo_once(client, b"before"));

    process.allow_more_files(0);
    let waiting: Vec<_> = (0..5).map(|_| connect(process.addr())).collect();
    let message = "can't accept; clients wait in the backlog";
    eventually("the shortage is logged, and again", || {
        process.count(message) >= 3
    });
    let logged = process.lines_with(message);
    for pair in logged.windows(2) {
        let pause = pair[1].time_of_day().checked_sub(pair[0].time_of_day());
        // Across midnight there is no telling.
        assert!(
            pause.is_none_or(|pause| pause >= Duration::from_millis(999)),
            "{logged:?}"
        );
    }
    assert!(
        logged.iter().all(|line| line.text("errno") == "EMFILE"),
        "{logged:?}"
    );
    assert!(!waiting.iter().any(is_reset), "nobody is turned away");
    served
        .iter()
        .for_each(|client| echo_once(client, b"meanwhile"));

    process.allow_all_files();
    waiting
        .iter()
        .for_each(|client| echo_once(client, b"after"));

    // And once more, ended by a connection that gives its two descriptors back.
    process.allow_more_files(0);
    let client = connect(process.addr());
    let before = process.count(message);
    eventually("it is short of descriptors again", || {
        process.count(message) > before
    });
    drop(served.into_iter().next());
    echo_once(&client, b"served after all");
}

#[test]
fn without_a_descriptor_for_the_upstream_one_client_is_reset_and_the_others_live() {
    let echo = Echo::start();
    let process = Process::start(
        echo.addr(),
        &["--max-connections", "1000", "--workers", "1"],
    );
    let served = connect(process.addr());
    echo_once(&served, b"before");

    process.allow_more_files(1); // enough to accept, not to connect
    let client = connect(process.addr());
    assert_eq!(read_out(&client), (Vec::new(), End::Reset));
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("proxy", "connect_error", "EMFILE"));
    echo_once(&served, b"after");

    process.allow_all_files();
    echo_once(&connect(process.addr()), b"and everybody else");
}

#[test]
fn two_thousand_connections_at_once_are_served_and_leave_nothing_behind() {
    const COUNT: usize = 2000;
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|files| files < 3 * COUNT as u64) {
        return skip("the hard limit on open files is too low");
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .unwrap();
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let before = process.files();
    let clients: Vec<_> = (0..COUNT).map(|_| connect(process.addr())).collect();
    let message = |index: usize| format!("I am number {index}").repeat(10);
    for (index, mut client) in clients.iter().enumerate() {
        client.write_all(message(index).as_bytes()).unwrap();
    }
    for (index, mut client) in clients.iter().enumerate() {
        let mut answer = vec![0; message(index).len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, message(index).as_bytes());
    }
    assert!(
        process.files() >= before + 2 * COUNT,
        "they all live at once"
    );
    drop(clients);
    eventually("every connection is recorded", || {
        process.records().len() == COUNT
    });
    assert!(
        process
            .records()
            .iter()
            .all(|record| record.text("reason") == "fin")
    );
    eventually("all descriptors are closed", || process.files() == before);
}

#[test]
fn an_old_connection_is_ended_with_a_reset_to_both() {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &["--max-lifetime", "1s"]);
    let link = Link::open(process.addr(), &origin);
    link.round_trip();
    assert_eq!(
        (told(&link.client), told(&link.server)),
        (End::Reset, End::Reset)
    );
    let record = process.record_of(link.client.local_addr().unwrap());
    assert_eq!(record.end(), ("proxy", "max_lifetime", ""));
    let lived: f64 = record.text("duration_ms").parse().unwrap();
    assert!(
        lived >= 900.0,
        "a tenth before its time at most: {lived} ms"
    );
}
