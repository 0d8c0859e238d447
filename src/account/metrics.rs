//! Counters: each worker owns its own, whoever reads them sums.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{
    delay::DelaySampler,
    histogram::{Bounds, Histogram},
    labels::{Connect, Fallback, Path, Way},
    outcome::{By, Outcome, Reason},
    pulse::Pulse,
    rejection::Rejection,
};
use crate::sys::{ERRNO_NAMES, errno_name};

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

    /// Makes it `count`. To be called by that thread only.
    pub(super) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets of the time that it takes to reach the upstream.
const CONNECT_BOUNDS: Bounds = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000,
];

/// Buckets of the life of a connection: 10 ms to 30 d.
const DURATION_BOUNDS: Bounds = [
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    21_600_000_000,
    86_400_000_000,
    604_800_000_000,
    2_592_000_000_000,
];

/// What one worker counts; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    /// Connections handed over and not yet ended. Written by the dispatcher, too.
    pub(crate) connections: AtomicUsize,
    /// Alarms waiting, see `path::worker`.
    pub(crate) alarms: AtomicUsize,
    /// Pipes, as of the last sweep.
    pub(crate) pipes: PipeCounts,
    /// How long bytes are held up.
    pub(crate) delay: DelaySampler,
    /// Whether it keeps up.
    pub(crate) pulse: Pulse,
    /// How long it took to reach the upstream.
    pub(crate) connect_times: Histogram,
    /// How long connections lived.
    pub(crate) durations: Histogram,
    bytes: [[Counter; 2]; 2],
    undelivered: [Counter; Way::ALL.len()],
    fallbacks: [Counter; Fallback::ALL.len()],
    connects: [Counter; Connect::ALL.len()],
    closed: [[Counter; Reason::ALL.len()]; By::ALL.len()],
    rejected: [Counter; Rejection::ALL.len()],
}

/// The pipes of a worker.
#[derive(Debug, Default)]
pub(crate) struct PipeCounts {
    /// Leased and free ones.
    pub(crate) alive: AtomicUsize,
    /// Those that wait for a direction that needs one.
    pub(crate) free: AtomicUsize,
    /// Bytes of capacity that the kernel granted last: to a pipe, or to the trial at the start.
    pub(crate) granted: AtomicUsize,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            connections: AtomicUsize::default(),
            alarms: AtomicUsize::default(),
            pipes: PipeCounts::default(),
            delay: DelaySampler::default(),
            pulse: Pulse::default(),
            connect_times: Histogram::new(&CONNECT_BOUNDS),
            durations: Histogram::new(&DURATION_BOUNDS),
            bytes: Default::default(),
            undelivered: Default::default(),
            fallbacks: Default::default(),
            connects: Default::default(),
            closed: Default::default(),
            rejected: Default::default(),
        }
    }
}

impl WorkerMetrics {
    /// Notes bytes that have left.
    pub(crate) fn moved(&self, way: Way, path: Path, count: usize) {
        self.bytes[way as usize][path as usize].add(count as u64);
        self.delay.wrote();
    }

    /// Notes bytes that had left, and were not delivered when their connection was cut; by way.
    pub(crate) fn threw_away(&self, undelivered: [usize; Way::ALL.len()]) {
        for (counter, bytes) in self.undelivered.iter().zip(undelivered) {
            counter.add(bytes as u64);
        }
    }

    /// Notes that the upstream was reached, and how long that took.
    pub(crate) fn connected(&self, time: Duration) {
        self.connects[Connect::Ok as usize].add(1);
        self.connect_times.observe(time);
    }

    /// Notes that the upstream was not reached.
    pub(crate) fn not_connected(&self, outcome: &Outcome) {
        self.connects[Connect::failed(outcome) as usize].add(1);
    }

    /// Notes a direction that fell back to copying.
    pub(crate) fn fell_back(&self, reason: Fallback) {
        self.fallbacks[reason as usize].add(1);
    }

    /// Notes the end of a connection, and how long it lived.
    pub(crate) fn closed(&self, by: By, reason: Reason, duration: Duration) {
        self.closed[by as usize][reason as usize].add(1);
        self.durations.observe(duration);
    }

    /// Notes a connection that was reset because of whom its PROXY header named, or for want of one.
    pub(crate) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].add(1);
    }

    /// Bytes moved, all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.as_flattened().iter().map(Counter::get).sum()
    }

    /// Bytes moved one way.
    pub(crate) fn bytes_by(&self, way: Way) -> u64 {
        self.bytes[way as usize].iter().map(Counter::get).sum()
    }

    /// Bytes moved one way by one path.
    pub(crate) fn bytes_by_path(&self, way: Way, path: Path) -> u64 {
        self.bytes[way as usize][path as usize].get()
    }

    /// Bytes of one way that were not delivered when their connection was cut.
    pub(crate) fn undelivered(&self, way: Way) -> u64 {
        self.undelivered[way as usize].get()
    }

    /// Directions that fell back to copying.
    pub(crate) fn fallbacks_by(&self, reason: Fallback) -> u64 {
        self.fallbacks[reason as usize].get()
    }

    /// Connections for which the upstream was, or was not, reached.
    pub(crate) fn connects_by(&self, result: Connect) -> u64 {
        self.connects[result as usize].get()
    }

    /// Connections that ended so.
    pub(crate) fn closed_by(&self, by: By, reason: Reason) -> u64 {
        self.closed[by as usize][reason as usize].get()
    }
}

/// How long a worker may leave a tick unanswered before it counts as stuck.
const STUCK: Duration = Duration::from_secs(5);

/// What the process counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// By worker, in their order.
    pub(crate) workers: Arc<[Arc<WorkerMetrics>]>,
    /// By the accept loops, which share a thread.
    pub(crate) listeners: Arc<ListenerMetrics>,
    /// Whether the process has been told to end.
    pub(crate) draining: Arc<AtomicBool>,
}

/// What the accept loops count.
#[derive(Debug, Default)]
pub(crate) struct ListenerMetrics {
    /// Connections handed to a worker: those that were rejected at once are not among them.
    pub(crate) accepted: Counter,
    /// Failed calls of accept(2), in the order of [`ERRNO_NAMES`].
    accept_errors: [Counter; ERRNO_NAMES.len()],
    rejected: [Counter; Rejection::ALL.len()],
}

impl ListenerMetrics {
    /// Notes a failed call of accept(2).
    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        let name = Errno::from_io_error(error).map_or("other", errno_name);
        if let Some(index) = ERRNO_NAMES.iter().position(|known| *known == name) {
            self.accept_errors[index].add(1);
        }
    }

    /// The failed calls, by the name of their errno.
    pub(crate) fn accept_errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.accept_errors.iter().map(Counter::get);
        ERRNO_NAMES.into_iter().zip(counts)
    }

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
            draining: Arc::default(),
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

    /// A worker that has left a tick unanswered for too long, and for how long.
    pub(crate) fn stuck(&self) -> Option<(usize, Duration)> {
        let now = Instant::now();
        let waits = self.workers.iter().map(|worker| worker.pulse.waiting(now));
        waits.enumerate().find(|(_, wait)| *wait >= STUCK)
    }

    /// Bytes of capacity that the kernel last granted a pipe, the least of the workers'.
    pub(crate) fn pipe_size(&self) -> usize {
        let granted = |worker: &Arc<WorkerMetrics>| worker.pipes.granted.load(Ordering::Relaxed);
        self.workers.iter().map(granted).min().unwrap_or(0)
    }

    /// The sums of this moment.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            accepted: self.listeners.accepted.get(),
            rejected: Rejection::ALL
                .map(|reason| self.rejected(reason))
                .iter()
                .sum(),
            accept_errors: self.listeners.accept_errors().map(|(_, count)| count).sum(),
            ..Totals::default()
        };
        for worker in self.workers.iter() {
            totals.active += worker.connections.load(Ordering::Relaxed);
            for by in By::ALL {
                for reason in Reason::ALL {
                    let count = worker.closed_by(by, reason);
                    totals.closed += count;
                    if reason != Reason::Fin {
                        totals.failed += count;
                    }
                }
            }
            totals.bytes_to_upstream += worker.bytes_by(Way::ToUpstream);
            totals.bytes_to_client += worker.bytes_by(Way::ToClient);
            for way in Way::ALL {
                totals.bytes_spliced += worker.bytes_by_path(way, Path::Splice);
            }
            totals.splice_fallbacks += Fallback::ALL
                .map(|reason| worker.fallbacks_by(reason))
                .iter()
                .sum::<u64>();
            totals.pipes += worker.pipes.alive.load(Ordering::Relaxed);
        }
        totals
    }
}
