//! What each alert is for, as it happens to a real process, with what that process tells of it.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
};

use rustix::process::Signal;

use crate::support::{
    BlackHole, Echo, End, Link, Nobody, Origin, Pattern, Process, Scrape, Unread, connect, echoed,
    eventually, read_out, send_until_stuck,
};

/// Scrapes of a process, a minute apart, and how it goes on.
pub(crate) struct Told {
    pub(crate) scrapes: Vec<Scrape>,
    /// Whether it goes on as between its last two scrapes; else nothing changes any more.
    pub(crate) goes_on: bool,
    /// When whoever is on call should have been told.
    pub(crate) minute: u16,
}

impl Told {
    fn goes_on(scrapes: impl Into<Vec<Scrape>>, minute: u16) -> Self {
        Self {
            scrapes: scrapes.into(),
            goes_on: true,
            minute,
        }
    }

    fn stays(scrapes: impl Into<Vec<Scrape>>, minute: u16) -> Self {
        Self {
            scrapes: scrapes.into(),
            goes_on: false,
            minute,
        }
    }
}

/// An alert, or none, and the story over which it fires; `None` where that can't happen here.
pub(crate) type Story = (Option<&'static str>, fn() -> Option<Told>);

pub(crate) const STORIES: [Story; 15] = [
    (None, || Some(all_is_well())),
    (Some("PortamentoAbsent"), || Some(Told::stays([], 6))),
    (Some("PortamentoUpstreamUnreachable"), || {
        Some(upstream_unreachable())
    }),
    (Some("PortamentoBypassed"), || Some(bypassed())),
    (Some("PortamentoConnectionsBreak"), || {
        Some(connections_break())
    }),
    (Some("PortamentoAcceptFails"), || Some(accept_fails())),
    (Some("PortamentoRejects"), || Some(rejects())),
    (Some("PortamentoWorkerStalls"), worker_stalls),
    (Some("PortamentoForwardsSlowly"), || Some(forwards_slowly())),
    (Some("PortamentoConnectsSlowly"), || Some(connects_slowly())),
    (Some("PortamentoSpliceFallsBack"), || {
        Some(splice_falls_back())
    }),
    (Some("PortamentoOpenFilesRunOut"), || {
        Some(open_files_run_out())
    }),
    (Some("PortamentoLogDrops"), || Some(log_drops())),
    (Some("PortamentoDrainHangs"), || Some(drain_hangs())),
    (Some("PortamentoRestarts"), || Some(restarts())),
];

fn scrape(process: &Process) -> Scrape {
    Scrape::of(process.admin())
}

/// Waits until a series has grown beyond what it was.
fn grown(process: &Process, series: &str, before: &Scrape) -> Scrape {
    let mut now = scrape(process);
    eventually(series, || {
        now = scrape(process);
        now.value(series) > before.value(series)
    });
    now
}

/// Traffic of both kinds over one connection that lasts, as between a querier and its live-store.
fn all_is_well() -> Told {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &[]);
    let link = Link::open(process.addr(), &origin);
    let pattern = Pattern::new(1);
    let mut sent = 0;
    let mut scrapes = Vec::new();
    for _ in 0..3 {
        link.round_trip();
        pattern.pass(&link.server, &link.client, sent..sent + 3_000_000);
        sent += 3_000_000;
        scrapes.push(scrape(&process));
    }
    assert!(
        scrapes[2].value("portamento_bytes_total{direction=\"to_client\",path=\"splice\"}") > 0.0
    );
    Told::goes_on(scrapes, 60)
}

fn upstream_unreachable() -> Told {
    let nobody = Nobody::new();
    let process = Process::start(nobody.addr(), &[]);
    let before = scrape(&process);
    assert_eq!(read_out(connect(process.addr())).1, End::Reset);
    let refused = "portamento_upstream_connects_total{result=\"refused\"}";
    let after = grown(&process, refused, &before);
    Told::goes_on([before, after], 12)
}

/// It runs, and nobody comes.
fn bypassed() -> Told {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &[]);
    Told::stays([scrape(&process)], 31)
}

/// Clients that end their stream, and a server that never answers.
fn connections_break() -> Told {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &["--half-close-timeout", "1ms"]);
    let before = scrape(&process);
    let links: Vec<_> = (0..5)
        .map(|_| Link::open(process.addr(), &origin))
        .collect();
    for link in &links {
        link.client.shutdown(Shutdown::Write).unwrap();
    }
    eventually("all are cut", || {
        scrape(&process).value("portamento_connections_active") == 0.0
    });
    Told::stays([before, scrape(&process)], 5)
}

fn accept_fails() -> Told {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--max-connections", "1000"]);
    let before = scrape(&process);
    let mut waiting = Vec::new();
    eventually("it can't accept", || {
        process.allow_more_files(0); // the scrape's own may only now have gone
        waiting.push(connect(process.addr()));
        process.count("can't accept; clients wait in the backlog") > 0
    });
    process.allow_all_files(); // a scrape needs one, too
    Told::stays([before, scrape(&process)], 3)
}

fn rejects() -> Told {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--deny", "127.0.0.0/8"]);
    let before = scrape(&process);
    assert_eq!(read_out(connect(process.addr())).1, End::Reset);
    let rejected = "portamento_connections_rejected_total{reason=\"acl\"}";
    let after = grown(&process, rejected, &before);
    Told::goes_on([before, after], 12)
}

fn worker_stalls() -> Option<Told> {
    let origin = Origin::bind();
    let process = Process::start(origin.addr(), &[]);
    let _stuck = process.stick_worker()?;
    let mut stalled = scrape(&process);
    eventually("a worker has stood still", || {
        stalled = scrape(&process);
        stalled.value("portamento_worker_stall_seconds_max") > 0.5
    });
    Some(Told::stays([stalled], 1))
}

/// Nothing here makes a healthy machine slow on demand: the samples are real, their delay is not.
fn forwards_slowly() -> Told {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let mut client = echoed(process.addr());
    let before = scrape(&process);
    let sampled = "portamento_forward_delay_seconds_count";
    let mut after = scrape(&process);
    eventually("a wake-up is sampled", || {
        client.write_all(b"?").unwrap();
        client.read_exact(&mut [0]).unwrap();
        after = scrape(&process);
        after.value(sampled) > before.value(sampled)
    });
    let slowed = [before, after].map(|scrape| {
        let lines = scrape.0.lines().map(|line| {
            let bound = line
                .strip_prefix("portamento_forward_delay_seconds_bucket{le=\"")
                .and_then(|rest| rest.split('"').next()?.parse::<f64>().ok());
            match bound {
                Some(bound) if bound < 0.01 => {
                    format!("{} 0\n", line.rsplit_once(' ').unwrap().0)
                }
                _ => format!("{line}\n"),
            }
        });
        Scrape(lines.collect())
    });
    Told::goes_on(slowed, 27)
}

/// A server that is too busy to accept: its backlog is full, and the next try is a second later.
fn connects_slowly() -> Told {
    let busy = BlackHole::new();
    let process = Process::start(busy.addr(), &[]);
    let before = scrape(&process);
    let client = connect(process.addr());
    // Asked again, so that the first time was not heard: a busy kernel may only be slow to hear.
    let asks = format!(":{:04X} 02 ", busy.addr().port()); // SYN_SENT
    eventually("portamento has asked twice", || {
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let mut asking = sockets.lines().filter(|line| line.contains(&asks));
        asking.any(|line| line.split_whitespace().nth(6) != Some("00000000"))
    });
    let _origin = busy.open();
    let connected = "portamento_upstream_connects_total{result=\"ok\"}";
    let after = grown(&process, connected, &before);
    drop(client);
    Told::goes_on([before, after], 22)
}

/// One connection holds the only pipe; the others copy.
fn splice_falls_back() -> Told {
    let origin = Origin::bind();
    let flags = ["--engine", "splice", "--workers", "1", "--max-pipes", "1"];
    let process = Process::start(origin.addr(), &flags);
    let pattern = Pattern::new(2);
    let holding = Link::open(process.addr(), &origin);
    send_until_stuck(&holding.server, &pattern, 64 * 1024);
    let before = scrape(&process);
    let link = Link::open(process.addr(), &origin);
    pattern.pass(&link.server, &link.client, 0..3_000_000);
    let fallbacks = "portamento_splice_fallbacks_total{reason=\"limit\"}";
    let after = grown(&process, fallbacks, &before);
    Told::goes_on([before, after], 32)
}

fn open_files_run_out() -> Told {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--max-connections", "1000"]);
    let _client = echoed(process.addr());
    process.allow_more_files(1); // the scrape
    Told::stays([scrape(&process)], 6)
}

fn log_drops() -> Told {
    let origin = Origin::bind();
    let forwarder = Unread::start(origin.addr());
    let before = Scrape::of(forwarder.admin);
    forwarder.fill_log(&origin);
    Told::stays([before, Scrape::of(forwarder.admin)], 2)
}

/// It was told to end, and a client stays.
fn drain_hangs() -> Told {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let _client = echoed(process.addr());
    process.signal(Signal::TERM);
    let mut draining = scrape(&process);
    eventually("it drains", || {
        draining = scrape(&process);
        draining.value("portamento_draining") == 1.0
    });
    Told::stays([draining], 6)
}

fn restarts() -> Told {
    let echo = Echo::start();
    let mut scrapes: Vec<Scrape> = Vec::new();
    while scrapes.len() < 4 {
        let process = Process::start(echo.addr(), &[]);
        let started = scrape(&process);
        let start = |scrape: &Scrape| scrape.value("process_start_time_seconds");
        // The kernel counts in hundredths of a second.
        if scrapes
            .last()
            .is_none_or(|last| start(last) < start(&started))
        {
            scrapes.push(started);
        }
    }
    Told::stays(scrapes, 5)
}
