//! Bytes through the relay, against the same bytes without it.
//!
//! Three groups, each with every [`ROUTES`] for every [`CASES`] that fits it:
//!
//! - `down`: messages from the origin, asked for [`IN_FLIGHT`] ahead, in bits per second.
//! - `up`: messages to the origin, each acknowledged by one byte, in bits per second.
//! - `latency`: one message there and back, in time per round trip.
//!
//! An iteration is one message on every connection. All clients live on the bench's own thread;
//! between samples nobody polls them, so they are parked, and connecting is outside of the timing.
//! With one thread for the clients and one for the origin, `direct` says where these are the limit:
//! in `down` the origin is below 16 KiB, since it takes requests one by one.
//!
//! Criterion's id is `GROUP/ROUTE/SIZExCONNECTIONS`: `cargo bench --bench relay -- down/auto`.

mod support;

use std::{
    io,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use loadtest::{
    origin::{Mode, Origin, SEED},
    pattern,
};
use portamento::config::{Engine, Size};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use self::support::{
    environment,
    hop::{Hop, Route, connect},
};

const UNITS: &str = "relay: down and up in bits per second of payload (decimal prefixes), \
                     latency in time per round trip";

const ROUTES: [Route; 6] = [
    Route::Direct,
    Route::Portamento(Engine::Copy),
    Route::Portamento(Engine::Splice),
    Route::Portamento(Engine::Auto),
    Route::Unsampled,
    Route::Tokio,
];

/// Message sizes, each with the numbers of connections that tell something at that size.
const CASES: [(Size, &[usize]); 6] = [
    (Size(64), &[1, 64]),
    (Size(KIB), &[1, 8, 64]),
    (Size(16 * KIB), &[1, 8]),
    (Size(64 * KIB), &[1, 8, 64]),
    (Size(MIB), &[1, 8]),
    (Size(4 * MIB), &[1, 8]),
];

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// From a full copy buffer on, a message is bulk: bits per second say more of it than latency where
/// connections are several, and few samples do.
const BULK: Size = Size(64 * KIB);

/// The largest of the small messages.
const SMALL: Size = Size(KIB);

/// Messages asked for, or sent, ahead of the last that has arrived: what keeps a stream busy.
const IN_FLIGHT: usize = 16;

fn main() {
    environment::print(UNITS);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    bench(&mut criterion, "down", |size, _| {
        let (request, response, in_flight) = (1, size.0, IN_FLIGHT);
        Some(Load {
            request,
            response,
            in_flight,
        })
    });
    bench(&mut criterion, "up", |size, _| {
        let (request, response, in_flight) = (size.0, 1, IN_FLIGHT);
        (size >= BULK).then_some(Load {
            request,
            response,
            in_flight,
        })
    });
    bench(&mut criterion, "latency", |size, connections| {
        let (request, response, in_flight) = (size.0, size.0, 1);
        (size < BULK || connections == 1).then_some(Load {
            request,
            response,
            in_flight,
        })
    });
    criterion.final_summary();
}

/// Runs one group; `load` says what a case is in it, if anything.
fn bench(criterion: &mut Criterion, name: &str, load: fn(Size, usize) -> Option<Load>) {
    let mut group = criterion.benchmark_group(name);
    for (size, connections) in CASES
        .iter()
        .flat_map(|(size, counts)| counts.iter().map(|connections| (*size, *connections)))
    {
        let Some(load) = load(size, connections) else {
            continue;
        };
        if load.in_flight > 1 {
            group.throughput(Throughput::Bits(8 * (size.0 * connections) as u64));
        }
        if size >= BULK {
            group.sampling_mode(SamplingMode::Flat).sample_size(10);
        } else {
            group.sampling_mode(SamplingMode::Auto).sample_size(30);
        }
        for route in ROUTES {
            if matches!(route, Route::Unsampled) && (load.in_flight > 1 || size > SMALL) {
                continue; // what is sampled costs by message, and tells where these are small
            }
            let id = BenchmarkId::new(route.name(), format!("{size}x{connections}"));
            let mut rig = None; // not made for what the command line leaves out
            group.bench_function(id, |bencher| {
                let rig = rig.get_or_insert_with(|| {
                    Rig::set_up(route, load, connections)
                        .expect("loopback has a port and every client a descriptor")
                });
                bencher.iter_custom(|messages| {
                    rig.exchange(messages)
                        .expect("nobody but the clients ends a connection")
                });
            });
        }
    }
    group.finish();
}

/// What the clients ask of the origin.
#[derive(Clone, Copy)]
struct Load {
    /// Bytes to the origin, per message.
    request: usize,
    /// Bytes from the origin, per message.
    response: usize,
    /// Messages on their way at once, per connection.
    in_flight: usize,
}

/// Clients, parked, and all that is behind them. Dropped in this order.
struct Rig {
    clients: Vec<Client>,
    runtime: Runtime,
    _hop: Hop,
    _origin: Origin,
}

impl Rig {
    /// Starts everything, connects the clients, and lets each exchange a first message, which is
    /// checked: an upstream is reached, and the route lets the right bytes through.
    fn set_up(route: Route, load: Load, connections: usize) -> io::Result<Self> {
        let Load {
            request, response, ..
        } = load;
        let origin = Origin::start(Mode::Exchange { request, response })?;
        let hop = Hop::start(route, origin.local_addr())?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let clients = runtime.block_on(async {
            let mut clients = Vec::with_capacity(connections);
            for _ in 0..connections {
                let mut client = Client::new(connect(hop.entry()).await?, load);
                client.check().await?;
                clients.push(client);
            }
            io::Result::Ok(clients)
        })?;
        Ok(Self {
            clients,
            runtime,
            _hop: hop,
            _origin: origin,
        })
    }

    /// Exchanges so many messages on every connection and returns how long that took.
    fn exchange(&mut self, messages: u64) -> io::Result<Duration> {
        let parked = std::mem::take(&mut self.clients);
        let (elapsed, clients) = self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for mut client in parked {
                running.spawn(async move {
                    client.exchange(messages).await?;
                    io::Result::Ok(client)
                });
            }
            let start = Instant::now(); // no task has been polled yet
            let done = running.join_all().await;
            (start.elapsed(), done)
        });
        self.clients = clients.into_iter().collect::<io::Result<_>>()?;
        Ok(elapsed)
    }
}

/// One connection.
struct Client {
    stream: TcpStream,
    load: Load,
    /// What one write sends: a request, or as many one-byte requests as may be on their way.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream, load: Load) -> Self {
        // Like the origin's: large, so that the client is not the bottleneck.
        let incoming = (load.response * load.in_flight).min(256 * KIB);
        Self {
            stream,
            load,
            outgoing: vec![0; load.request.max(load.in_flight)],
            incoming: vec![0; incoming],
        }
    }

    /// Exchanges one message and looks at the answer.
    async fn check(&mut self) -> io::Result<()> {
        self.send(1).await?;
        let mut answer = vec![0; self.load.response];
        self.stream.read_exact(&mut answer).await?;
        match pattern::first_difference(SEED, 0, &answer) {
            None => Ok(()),
            Some(offset) => Err(io::Error::other(format!("byte {offset} is wrong"))),
        }
    }

    /// Exchanges so many messages.
    async fn exchange(&mut self, messages: u64) -> io::Result<()> {
        let response = self.load.response as u64;
        let (mut sent, mut received) = (0, 0);
        while received < messages * response {
            let due = messages.min(received / response + self.load.in_flight as u64);
            self.send(due - sent).await?;
            sent = due;
            match self.stream.read(&mut self.incoming).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => received += count as u64,
            }
        }
        Ok(())
    }

    async fn send(&mut self, messages: u64) -> io::Result<()> {
        let mut left = messages * self.load.request as u64;
        while left > 0 {
            let piece = usize::try_from(left).map_or(usize::MAX, |left| left);
            let piece = piece.min(self.outgoing.len());
            self.stream.write_all(&self.outgoing[..piece]).await?;
            left -= piece as u64;
        }
        Ok(())
    }
}
