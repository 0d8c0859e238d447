//! What the forwarder costs: system calls by message and by volume, memory by idle connection.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use support::{BINARY, Echo, Link, Origin, Process, can_trace, eventually, own_memory, skip};

/// A forwarder under strace, which counts the calls of all its threads.
struct Traced {
    process: Process,
    summary: tempfile::NamedTempFile,
}

impl Traced {
    /// `None`, with a word to say why, where nothing can be traced.
    fn start(upstream: impl ToString) -> Option<Self> {
        if !can_trace() {
            return None;
        }
        let summary = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command
            .args(["-c", "-f", "-o"])
            .arg(summary.path())
            .arg(BINARY);
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream.to_string(),
        ]);
        Some(Self {
            process: Process::launch(&mut command),
            summary,
        })
    }

    /// Ends the forwarder, and returns how often it made each call.
    fn calls(mut self) -> HashMap<String, u64> {
        let strace = self.process.pid();
        let children = format!("/proc/{strace}/task/{strace}/children");
        let forwarder = fs::read_to_string(children).unwrap();
        let forwarder = Pid::from_raw(forwarder.trim().parse().unwrap()).unwrap();
        kill_process(forwarder, Signal::INT).unwrap();
        self.process.wait();
        parse(self.summary.path())
    }
}

/// Lines of `% time, seconds, usecs/call, calls, [errors,] name`.
fn parse(summary: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(summary).unwrap();
    let calls = text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        Some(((*fields.last()?).to_owned(), fields.get(3)?.parse().ok()?))
    });
    calls.filter(|(name, _)| name != "total").collect()
}

fn count(calls: &HashMap<String, u64>, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

#[test]
fn a_message_costs_three_calls_and_none_of_them_reads_a_clock() {
    const MESSAGES: u64 = 4000; // there and back
    let upstream = Echo::start();
    let Some(traced) = Traced::start(upstream.addr()) else {
        return;
    };
    let mut client = TcpStream::connect(traced.process.addr()).unwrap();
    client.set_nodelay(true).unwrap();
    let mut answer = [0; 64];
    for _ in 0..MESSAGES / 2 {
        client.write_all(&[7; 64]).unwrap();
        client.read_exact(&mut answer).unwrap();
    }
    drop(client);
    let calls = traced.calls();
    let moving = count(&calls, &["recvfrom", "sendto", "epoll_wait", "splice"]);
    let (least, most) = (2 * MESSAGES, 3 * MESSAGES + MESSAGES / 10);
    assert!(
        (least..=most).contains(&moving),
        "{moving} calls for {MESSAGES} messages: {calls:?}"
    );
    let clocks = count(&calls, &["clock_gettime", "gettimeofday", "time"]);
    assert!(
        clocks < MESSAGES / 10,
        "{clocks} readings of a clock: {calls:?}"
    );
}

#[test]
fn bulk_costs_few_calls_by_the_mebibyte() {
    const MEBIBYTES: u64 = 256;
    let origin = Origin::bind();
    let Some(traced) = Traced::start(origin.addr()) else {
        return;
    };
    let Link { client, mut server } = Link::open(traced.process.addr(), &origin);
    let sender = std::thread::spawn(move || {
        let block = vec![1; 1 << 20];
        for _ in 0..MEBIBYTES {
            server.write_all(&block).unwrap();
        }
    });
    let mut received = 0;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match (&client).read(&mut buffer).unwrap() {
            0 => break,
            count => received += count as u64,
        }
    }
    sender.join().unwrap();
    drop(client);
    assert_eq!(received, MEBIBYTES << 20);
    let calls = traced.calls();
    let moving = count(&calls, &["recvfrom", "sendto", "epoll_wait", "splice"]);
    assert!(
        moving <= 15 * MEBIBYTES,
        "{moving} calls for {MEBIBYTES} MiB: {calls:?}"
    );
}

#[test]
fn idle_connections_cost_little_memory_and_give_everything_back() {
    const CONNECTIONS: usize = 4000;
    const BYTES_EACH: usize = 2048;
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )
    .unwrap();
    if limit.is_some_and(|limit| limit < 2 * CONNECTIONS as u64 + 1000) {
        return skip("the hard limit on open files is too low for so many connections");
    }
    let upstream = Echo::start();
    let process = Process::start(upstream.addr(), &[]);
    let round = |clients: &mut [TcpStream]| {
        for client in &mut *clients {
            client.write_all(&[1; 200]).unwrap();
        }
        for client in clients {
            client.read_exact(&mut [0; 200]).unwrap();
        }
    };
    let connect = |count| -> Vec<TcpStream> {
        (0..count)
            .map(|_| TcpStream::connect(process.addr()).unwrap())
            .collect()
    };
    let mut warm = connect(10);
    round(&mut warm);
    drop(warm);
    eventually("the process is idle again", || process.files() < 30);
    let (files, memory) = (process.files(), own_memory(process.pid()));
    let mut clients = connect(CONNECTIONS);
    round(&mut clients);
    eventually("all stand", || process.files() >= files + 2 * CONNECTIONS);
    let each = own_memory(process.pid()).saturating_sub(memory) / CONNECTIONS;
    assert!(each <= BYTES_EACH, "{each} bytes for each idle connection");
    drop(clients);
    eventually("the files are given back", || process.files() <= files);
}
