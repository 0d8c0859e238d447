//! `/metrics`: the counters of all workers, summed at the scrape, in Prometheus' text format.

use std::{fmt, sync::atomic::Ordering, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode_registry},
    registry::Registry,
};

use super::{family::Family, process::ProcessSeries};
use crate::{
    account::{
        histogram::{Distribution, Histogram},
        metrics::{Connect, Fallback, Metrics, Path, Way, WorkerMetrics},
        record::{By, Reason},
        rejection::Rejection,
    },
    logging,
};

/// What `/metrics` shows.
pub(super) struct Exposition {
    ours: Registry,
    process: Registry,
}

impl Exposition {
    pub(super) fn new(metrics: Metrics) -> Self {
        let mut ours = Registry::with_prefix("portamento");
        ours.register_collector(Box::new(Series(metrics)));
        // Every exporter calls these the same: without a prefix.
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessSeries));
        Self { ours, process }
    }

    /// Every series, now.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        for registry in [&self.ours, &self.process] {
            // A String takes all that is written to it.
            encode_registry(&mut text, registry).ok();
        }
        text
    }
}

/// All series of the forwarder; none comes or goes while it runs.
#[derive(Debug)]
struct Series(Metrics);

impl Series {
    fn sum(&self, count: impl Fn(&WorkerMetrics) -> u64) -> u64 {
        self.0.workers.iter().map(|worker| count(worker)).sum()
    }

    fn gauge(&self, value: impl Fn(&WorkerMetrics) -> usize) -> usize {
        self.0.workers.iter().map(|worker| value(worker)).sum()
    }

    fn distribution(&self, histogram: impl Fn(&WorkerMetrics) -> &Histogram) -> Distribution {
        Distribution::of(self.0.workers.iter().map(|worker| histogram(worker)))
    }

    fn connections(&self, family: &mut Family<'_>) -> fmt::Result {
        let listeners = &self.0.listeners;
        family.counter(
            "connections_accepted_total",
            "Connections accepted and handed to a worker.",
            listeners.accepted.get(),
        )?;
        family.gauge(
            "connections_active",
            "Connections that a worker has now.",
            self.gauge(|worker| worker.connections.load(Ordering::Relaxed)),
        )?;
        let ends = By::ALL.into_iter().flat_map(|by| {
            Reason::ALL.map(|reason| {
                let count = self.sum(|worker| worker.closed_by(by, reason));
                ([("by", by.name()), ("reason", reason.name())], count)
            })
        });
        family.counters(
            "connections_closed_total",
            "Connections ended, by who ended them and why.",
            ends,
        )?;
        family.counters(
            "connections_rejected_total",
            "Connections reset because of a limit or a rule.",
            Rejection::ALL.map(|reason| ([("reason", reason.name())], self.0.rejected(reason))),
        )?;
        family.counters(
            "accept_errors_total",
            "Failed calls of accept(2).",
            listeners
                .accept_errors()
                .map(|(errno, count)| ([("errno", errno)], count)),
        )?;
        family.histogram(
            "connection_duration_seconds",
            "How long connections lived, from accept to their end.",
            &self.distribution(|worker| &worker.durations),
        )
    }

    fn upstream(&self, family: &mut Family<'_>) -> fmt::Result {
        family.counters(
            "upstream_connects_total",
            "Connections by how reaching the upstream for them went, retries and all.",
            Connect::ALL.map(|result| {
                let count = self.sum(|worker| worker.connects_by(result));
                ([("result", result.name())], count)
            }),
        )?;
        family.histogram(
            "upstream_connect_duration_seconds",
            "From accept to a connected upstream.",
            &self.distribution(|worker| &worker.connect_times),
        )
    }

    fn relay(&self, family: &mut Family<'_>) -> fmt::Result {
        let bytes = Way::ALL.into_iter().flat_map(|way| {
            Path::ALL.map(|path| {
                let count = self.sum(|worker| worker.bytes_by_path(way, path));
                ([("direction", way.name()), ("path", path.name())], count)
            })
        });
        family.counters(
            "bytes_total",
            "Bytes passed on, by direction and by the path that they took.",
            bytes,
        )?;
        family.counters(
            "splice_fallbacks_total",
            "Directions that copied what they would have spliced.",
            Fallback::ALL.map(|reason| {
                let count = self.sum(|worker| worker.fallbacks_by(reason));
                ([("reason", reason.name())], count)
            }),
        )?;
        let free = self.gauge(|worker| worker.pipes.free.load(Ordering::Relaxed));
        let alive = self.gauge(|worker| worker.pipes.alive.load(Ordering::Relaxed));
        family.gauges(
            "pipes",
            "Pipes of the workers, as of their last sweep, a second ago at most.",
            [
                ([("state", "leased")], alive.saturating_sub(free)),
                ([("state", "free")], free),
            ],
        )?;
        family.gauge(
            "pipe_size_bytes",
            "Capacity that the kernel last granted a pipe; the least of the workers'.",
            self.0.pipe_size(),
        )?;
        family.histogram(
            "forward_delay_seconds",
            "From a worker's wake-up to a write that followed it, sampled.",
            &self.distribution(|worker| &worker.delay.seen),
        )
    }

    fn health(&self, family: &mut Family<'_>) -> fmt::Result {
        // The label's values outlive the iterator.
        let ids: Vec<_> = (0..self.0.workers.len()).map(|id| id.to_string()).collect();
        let loads = ids.iter().zip(&*self.0.workers).map(|(id, worker)| {
            let connections = worker.connections.load(Ordering::Relaxed);
            ([("worker", id.as_str())], connections)
        });
        family.gauges(
            "worker_connections",
            "Connections that a worker has now.",
            loads,
        )?;
        let now = Instant::now();
        let stalls = self
            .0
            .workers
            .iter()
            .map(|worker| worker.pulse.stall_max(now));
        family.gauge(
            "worker_stall_seconds_max",
            "The longest that a worker kept a tick waiting, in the last minute or two.",
            stalls.max().unwrap_or_default().as_secs_f64(),
        )?;
        family.counter(
            "log_drops_total",
            "Log lines dropped because standard error did not take them in time.",
            logging::dropped(),
        )?;
        family.gauge(
            "draining",
            "1 once the process has been told to end.",
            u64::from(self.0.draining.load(Ordering::Relaxed)),
        )
    }
}

impl Collector for Series {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = Family(encoder);
        family.gauges(
            "build_info",
            "What is running; always 1.",
            [(
                [
                    ("version", env!("CARGO_PKG_VERSION")),
                    (
                        "revision",
                        option_env!("PORTAMENTO_REVISION").unwrap_or("unknown"),
                    ),
                ],
                1_u64,
            )],
        )?;
        self.connections(&mut family)?;
        self.upstream(&mut family)?;
        self.relay(&mut family)?;
        self.health(&mut family)
    }
}
