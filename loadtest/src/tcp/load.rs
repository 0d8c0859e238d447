//! Load of one kind, as the connections of one thread make it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::connections::connect::Connects;
use crate::latency::pingpong::PingPong;
use crate::stats::Latencies;
use crate::throughput::bulk::Bulk;

/// What the connections of a block do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Bulk, some streams at a time.
    Bulk(Bulk),
    /// Requests and responses over connections that stay.
    PingPong(PingPong),
    /// A connection for each request.
    Connects(Connects),
}

impl Load {
    /// Connections, or for [`Load::Connects`] how many are open at a time.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Bulk(bulk) => bulk.streams,
            Self::PingPong(ping) => ping.connections,
            Self::Connects(connects) => connects.concurrency,
        }
    }

    async fn run(self, client: Rc<Client>, stream: u64) -> anyhow::Result<()> {
        match self {
            Self::Bulk(bulk) => bulk.run(&client, stream).await,
            Self::PingPong(ping) => ping.run(&client, stream).await,
            Self::Connects(connects) => connects.run(&client, stream).await,
        }
    }

    /// Makes the load of thread number `thread` of `threads`, until the block stops.
    ///
    /// # Errors
    /// The first that a connection meets.
    pub(crate) fn run_thread(
        self,
        addr: &str,
        thread: usize,
        threads: usize,
        shared: Shared,
    ) -> anyhow::Result<Latencies> {
        let client = Rc::new(Client {
            addr: addr.to_owned(),
            latencies: RefCell::new(Latencies::new()),
            shared,
        });
        let local = LocalSet::new();
        let mut tasks = Vec::new();
        for stream in (thread..self.connections()).step_by(threads) {
            let task = self.run(Rc::clone(&client), stream as u64);
            tasks.push(local.spawn_local(task));
        }
        local.block_on(&runtime()?, async {
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(())
        })?;
        drop(local); // and with it the tasks' clients
        Ok(client.latencies.take())
    }
}

/// A runtime for one thread.
///
/// # Errors
/// When the system has no more to give.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Load that does not count.
    Warm,
    /// Load that counts.
    Measure,
    /// Connections are to end.
    Stop,
}

/// What all threads of a block share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    phase: Arc<AtomicU8>,
    /// One for each thread, so that they do not contend.
    counts: Arc<Counts>,
    ready: mpsc::UnboundedSender<()>,
}

/// What one thread has done so far; read by the block.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    /// Bytes sent in bulk, and received in bulk.
    pub(crate) bytes: AtomicU64,
    /// Requests answered.
    pub(crate) operations: AtomicU64,
}

impl Shared {
    /// For one thread.
    pub(crate) fn new(
        phase: Arc<AtomicU8>,
        counts: Arc<Counts>,
        ready: mpsc::UnboundedSender<()>,
    ) -> Self {
        Self {
            phase,
            counts,
            ready,
        }
    }
}

/// One thread's client.
#[derive(Debug)]
pub(crate) struct Client {
    addr: String,
    latencies: RefCell<Latencies>,
    shared: Shared,
}

impl Client {
    /// Connects to the target.
    ///
    /// # Errors
    /// When it cannot, with advice where ports have run out.
    #[expect(
        clippy::disallowed_methods,
        reason = "the load generator is no part of the forwarder"
    )]
    pub(crate) async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(&self.addr).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    "; all local ports are in use: wait a minute, or widen \
                     net.ipv4.ip_local_port_range"
                }
                _ => "",
            };
            anyhow::anyhow!("cannot connect to {}: {error}{advice}", self.addr)
        })?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Tells that a connection stands and its load begins.
    pub(crate) fn ready(&self) {
        self.shared.ready.send(()).ok(); // the block has given up
    }

    /// Whether the block is over.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.phase.load(Ordering::Relaxed) == Phase::Stop as u8
    }

    /// Counts bytes of bulk.
    pub(crate) fn count_bytes(&self, bytes: u64) {
        self.shared.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts an answered request.
    pub(crate) fn count_operation(&self, began: Instant) {
        self.shared
            .counts
            .operations
            .fetch_add(1, Ordering::Relaxed);
        if self.shared.phase.load(Ordering::Relaxed) == Phase::Measure as u8 {
            let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.latencies.borrow_mut().record(nanoseconds);
        }
    }
}
