//! One process takes the place of another under load: nobody is refused, nothing breaks.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use loadtest::{ClientConfig, QuerierClient, StandIn, StandInConfig};
use rustix::process::Signal;
use support::{BINARY, Echo, PATIENCE, Process, SetOnDrop, eventually};
use tokio::runtime::Builder;

/// One that shares its port with whoever has it.
fn beside(addr: SocketAddr, upstream: SocketAddr) -> Process {
    let mut command = Command::new(BINARY);
    command.args(["--reuse-port", "--listen", &addr.to_string()]);
    command.args(["--upstream", &upstream.to_string()]);
    Process::launch(&mut command)
}

/// Dials, says something, hears it back, hangs up.
fn call(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"ping")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut answer)? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[test]
fn no_dial_fails_while_one_process_after_the_other_takes_over() {
    const DIALS: usize = 10_000;
    const REPLACEMENTS: usize = 6;
    let upstream = Echo::start();
    let first = Process::start(upstream.addr(), &["--reuse-port"]);
    let addr = first.addr();
    let made = AtomicUsize::new(0);
    let failures = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while made.fetch_add(1, Ordering::Relaxed) < DIALS {
                        if let Err(error) = call(addr) {
                            failures.push(error.to_string());
                        }
                    }
                    failures
                })
            })
            .collect();
        let mut current = first;
        for replacement in 1..=REPLACEMENTS {
            let dials = DIALS * replacement / (REPLACEMENTS + 1);
            eventually("dials are made", || made.load(Ordering::Relaxed) >= dials);
            let successor = beside(addr, upstream.addr());
            current.signal(Signal::TERM);
            assert_eq!(current.wait().code(), Some(0));
            current = successor;
        }
        let failures = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        failures.collect::<Vec<_>>()
    });
    assert_eq!(failures, [""; 0]);
}

#[test]
fn no_grpc_call_fails_while_one_process_after_the_other_takes_over() {
    const CALLS: usize = 10_000;
    const CALLS_PER_CONNECTION: usize = 50;
    const REPLACEMENTS: usize = 3;
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let first = Process::start(standin.local_addr(), &["--reuse-port"]);
    let addr = first.addr();
    let made = AtomicUsize::new(0);
    let querier = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while made.load(Ordering::Relaxed) < CALLS {
                let client = QuerierClient::connect(ClientConfig::new(addr))
                    .await
                    .unwrap();
                for _ in 0..CALLS_PER_CONNECTION {
                    client.check_health().await.unwrap();
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    };
    thread::scope(|scope| {
        let queriers: Vec<_> = (0..4).map(|_| scope.spawn(querier)).collect();
        let mut current = first;
        for replacement in 1..=REPLACEMENTS {
            let calls = CALLS * replacement / (REPLACEMENTS + 1);
            eventually("calls are made", || {
                made.load(Ordering::Relaxed) >= calls
                    || queriers.iter().any(|one| one.is_finished())
            });
            let successor = beside(addr, standin.local_addr());
            current.signal(Signal::TERM);
            assert_eq!(current.wait().code(), Some(0));
            assert_eq!(current.count("cutting what has not ended"), 0);
            current = successor;
        }
        for querier in queriers {
            querier.join().unwrap(); // no call failed
        }
    });
}

#[test]
fn no_grpc_call_fails_during_a_drain_and_the_end_of_the_upstream_is_its_end() {
    const CALLS: usize = 1000;
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let mut process = Process::start(standin.local_addr(), &["--drain-timeout", "1h"]);
    let addr = process.addr();
    let (made, draining) = (AtomicUsize::new(0), AtomicBool::new(false));
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Calls on one old connection, and on ever new ones: queriers dial during a drain, too.
    let querier = async |redial: bool| {
        let mut client = QuerierClient::connect(ClientConfig::new(addr))
            .await
            .unwrap();
        while made.load(Ordering::Relaxed) < CALLS {
            if redial {
                client = QuerierClient::connect(ClientConfig::new(addr))
                    .await
                    .unwrap();
            }
            client.check_health().await.unwrap();
            if draining.load(Ordering::Relaxed) {
                made.fetch_add(1, Ordering::Relaxed);
            }
        }
        client
    };
    let clients = thread::scope(|scope| {
        let queriers = [false, false, true].map(|redial| {
            let (runtime, querier) = (runtime.handle(), &querier);
            scope.spawn(move || runtime.block_on(querier(redial)))
        });
        process.signal(Signal::TERM);
        let begun = SetOnDrop(&draining);
        eventually("the drain has begun", || process.count("draining") > 0);
        drop(begun);
        queriers.map(|querier| querier.join().unwrap())
    });
    drop(standin);
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count("cutting what has not ended"), 0);
    drop(clients);
}
