//! Short connections: connect, one request and its answer, close, and wait for the other side's
//! close.
//!
//! In connections per second (criterion says elem/s), one at a time and [`MANY`] at a time. An
//! iteration is one connection of every client. All clients live on the bench's own thread, the
//! origin on another.
//!
//! Each connection leaves a port in TIME_WAIT, on both sides of a forwarder; on loopback Linux takes
//! it again after a second (`tcp_tw_reuse` 2, the default), so the ports outlast some 28,000
//! connections a second.

mod support;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use loadtest::origin::{Mode, Origin};
use portamento::config::Engine;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use self::support::{
    environment,
    hop::{Hop, Route, connect},
};

const UNITS: &str = "connections: connect, request, answer, close, in connections per second \
                     (elem/s); time is that of one connection of every client";

const ROUTES: [Route; 3] = [Route::Direct, Route::Portamento(Engine::Auto), Route::Tokio];

/// Bytes each way: a small request.
const MESSAGE: usize = 1024;

/// Clients that connect at once.
const MANY: usize = 32;

fn main() {
    environment::print(UNITS);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("connections");
    for clients in [1, MANY] {
        group.throughput(Throughput::Elements(clients as u64));
        for route in ROUTES {
            let id = BenchmarkId::new(route.name(), format!("x{clients}"));
            let mut rig = None; // not made for what the command line leaves out
            group.bench_function(id, |bencher| {
                let rig = rig.get_or_insert_with(|| {
                    Rig::set_up(route).expect("loopback has a port for a listener")
                });
                bencher.iter_custom(|connections| {
                    rig.run(clients, connections)
                        .expect("ports outlast the connections: see tcp_tw_reuse")
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

/// A route that waits for clients.
struct Rig {
    runtime: Runtime,
    hop: Hop,
    _origin: Origin,
}

impl Rig {
    fn set_up(route: Route) -> io::Result<Self> {
        let (request, response) = (MESSAGE, MESSAGE);
        let origin = Origin::start(Mode::Exchange { request, response })?;
        let hop = Hop::start(route, origin.local_addr())?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            hop,
            _origin: origin,
        })
    }

    /// Lets every client make so many connections, one after the other, and returns how long that
    /// took.
    fn run(&self, clients: usize, connections: u64) -> io::Result<Duration> {
        let entry = self.hop.entry();
        self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for _ in 0..clients {
                running.spawn(async move {
                    for _ in 0..connections {
                        connection(entry).await?;
                    }
                    io::Result::Ok(())
                });
            }
            let start = Instant::now(); // no task has been polled yet
            let done = running.join_all().await;
            let elapsed = start.elapsed();
            done.into_iter().collect::<io::Result<()>>()?;
            Ok(elapsed)
        })
    }
}

async fn connection(entry: SocketAddr) -> io::Result<()> {
    let mut stream = connect(entry).await?;
    let mut message = [0; MESSAGE];
    stream.write_all(&message).await?;
    stream.read_exact(&mut message).await?;
    stream.shutdown().await?;
    match stream.read(&mut message).await? {
        0 => Ok(()),
        _ => Err(io::Error::other("more than the answer")),
    }
}
