//! Counters: each worker owns its own, whoever reads them sums.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::account::{
    record::{By, Reason},
    rejection::Rejection,
};

/// Where the bytes of a direction go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToUpstream,
    ToClient,
}

impl Way {
    /// The side that the bytes come from.
    pub(crate) fn source(self) -> By {
        match self {
            Self::ToUpstream => By::Client,
            Self::ToClient => By::Upstream,
        }
    }

    /// The side that the bytes go to.
    pub(crate) fn target(self) -> By {
        match self {
            Self::ToUpstream => By::Upstream,
            Self::ToClient => By::Client,
        }
    }
}

/// How bytes moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Copy,
    Splice,
}

/// Why a direction copied what it would have spliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// All pipes that `--max-pipes` allows are leased.
    Limit,
    /// The kernel grants too small ones.
    Small,
    /// The kernel grants none.
    Failed,
    /// The socket can't be spliced from.
    Unsupported,
}

/// A counter with one writing thread and any number of readers: adding needs no locked
/// instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. To be called by one thread only.
    pub(crate) fn add(&self, count: u64) {
        self.0
            .store(self.get().wrapping_add(count), Ordering::Relaxed);
    }

    /// The sum so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts; on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    /// Connections handed over and not yet ended. Written by the dispatcher, too.
    pub(crate) connections: AtomicUsize,
    /// Alarms waiting, see `path::worker`.
    pub(crate) alarms: AtomicUsize,
    /// Pipes alive.
    pub(crate) pipes: AtomicUsize,
    bytes: [[Counter; 2]; 2],
    fallbacks: [Counter; 4],
    closed: [[Counter; Reason::COUNT]; 3],
    rejected: [Counter; Rejection::ALL.len()],
}

impl WorkerMetrics {
    /// Notes bytes that have left.
    pub(crate) fn moved(&self, way: Way, path: Path, count: usize) {
        self.bytes[way as usize][path as usize].add(count as u64);
    }

    /// Notes a direction that fell back to copying.
    pub(crate) fn fell_back(&self, reason: Fallback) {
        self.fallbacks[reason as usize].add(1);
    }

    /// Notes the end of a connection.
    pub(crate) fn closed(&self, by: By, reason: Reason) {
        self.closed[by as usize][reason as usize].add(1);
    }

    /// Notes a connection that was reset because of whom its PROXY header named, or for want of one.
    pub(crate) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].add(1);
    }

    /// Bytes moved, all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.as_flattened().iter().map(Counter::get).sum()
    }
}

/// What the process counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// By worker, in their order.
    pub(crate) workers: Arc<[Arc<WorkerMetrics>]>,
    /// By the accept loops, which share a thread.
    pub(crate) listeners: Arc<ListenerMetrics>,
}

/// What the accept loops count.
#[derive(Debug, Default)]
pub(crate) struct ListenerMetrics {
    /// Connections handed to a worker: those that were rejected at once are not among them.
    pub(crate) accepted: Counter,
    /// Failed calls of accept(2).
    pub(crate) accept_errors: Counter,
    rejected: [Counter; Rejection::ALL.len()],
}

impl ListenerMetrics {
    /// Notes a connection that was reset as soon as it was accepted.
    pub(crate) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].add(1);
    }
}

/// The counters of a process, summed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Connections accepted. Those that were rejected at once are not among them, those that were
    /// rejected for their PROXY header are.
    pub accepted: u64,
    /// Connections reset before they were forwarded, for whatever reason.
    pub rejected: u64,
    /// Failed calls of accept(2).
    pub accept_errors: u64,
    /// Connections alive.
    pub active: usize,
    /// Connections ended.
    pub closed: u64,
    /// Connections ended by anything but an end of stream.
    pub failed: u64,
    /// Bytes that left for the upstream.
    pub bytes_to_upstream: u64,
    /// Bytes that left for the client.
    pub bytes_to_client: u64,
    /// Bytes of both that went through a pipe.
    pub bytes_spliced: u64,
    /// Directions that copied what they would have spliced.
    pub splice_fallbacks: u64,
    /// Pipes alive.
    pub pipes: usize,
}

impl Metrics {
    /// Fresh counters for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            listeners: Arc::default(),
        }
    }

    /// Connections reset before they were forwarded, for this reason: by the accept loops, or by a
    /// worker where only a PROXY header tells who the client is.
    pub(crate) fn rejected(&self, reason: Rejection) -> u64 {
        let by_workers = self.workers.iter().map(|worker| &worker.rejected);
        by_workers
            .chain([&self.listeners.rejected])
            .map(|counters| counters[reason as usize].get())
            .sum()
    }

    /// The sums of this moment.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            accepted: self.listeners.accepted.get(),
            rejected: Rejection::ALL
                .map(|reason| self.rejected(reason))
                .iter()
                .sum(),
            accept_errors: self.listeners.accept_errors.get(),
            ..Totals::default()
        };
        for worker in self.workers.iter() {
            let [to_upstream, to_client] = &worker.bytes;
            let [[_, up_spliced], [_, down_spliced]] = &worker.bytes;
            totals.active += worker.connections.load(Ordering::Relaxed);
            totals.closed += worker
                .closed
                .as_flattened()
                .iter()
                .map(Counter::get)
                .sum::<u64>();
            totals.failed += worker
                .closed
                .iter()
                .flat_map(|by| &by[Reason::Fin as usize + 1..])
                .map(Counter::get)
                .sum::<u64>();
            totals.bytes_to_upstream += to_upstream.iter().map(Counter::get).sum::<u64>();
            totals.bytes_to_client += to_client.iter().map(Counter::get).sum::<u64>();
            totals.bytes_spliced += up_spliced.get() + down_spliced.get();
            totals.splice_fallbacks += worker.fallbacks.iter().map(Counter::get).sum::<u64>();
            totals.pipes += worker.pipes.load(Ordering::Relaxed);
        }
        totals
    }
}
