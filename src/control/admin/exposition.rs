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
        labels::{Connect, Fallback, Path, Way},
        metrics::{Metrics, WorkerMetrics},
        outcome::{By, Reason},
        rejection::Rejection,
    },
    logging,
};

/// What `/metrics` shows.
pub(super) struct Exposition {
    registry: Registry,
}

impl Exposition {
    pub(super) fn new(metrics: Metrics) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Series(metrics)));
        registry.register_collector(Box::new(ProcessSeries));
        Self { registry }
    }

    /// Every series, now.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // A String takes all that is written to it.
        encode_registry(&mut text, &self.registry).ok();
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
            "portamento_connections_accepted_total",
            listeners.accepted.get(),
        )?;
        family.gauge(
            "portamento_connections_active",
            self.gauge(|worker| worker.connections.load(Ordering::Relaxed)),
        )?;
        let ends = By::ALL.into_iter().flat_map(|by| {
            Reason::ALL.map(|reason| {
                let count = self.sum(|worker| worker.closed_by(by, reason));
                ([("by", by.name()), ("reason", reason.name())], count)
            })
        });
        family.counters("portamento_connections_closed_total", ends)?;
        family.counters(
            "portamento_connections_rejected_total",
            Rejection::ALL.map(|reason| ([("reason", reason.name())], self.0.rejected(reason))),
        )?;
        family.counters(
            "portamento_accept_errors_total",
            listeners
                .accept_errors()
                .map(|(errno, count)| ([("errno", errno)], count)),
        )?;
        family.histogram(
            "portamento_connection_duration_seconds",
            &self.distribution(|worker| &worker.durations),
        )
    }

    fn upstream(&self, family: &mut Family<'_>) -> fmt::Result {
        family.counters(
            "portamento_upstream_connects_total",
            Connect::ALL.map(|result| {
                let count = self.sum(|worker| worker.connects_by(result));
                ([("result", result.name())], count)
            }),
        )?;
        family.histogram(
            "portamento_upstream_connect_duration_seconds",
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
        family.counters("portamento_bytes_total", bytes)?;
        let undelivered = Way::ALL.map(|way| {
            let count = self.sum(|worker| worker.undelivered(way));
            ([("direction", way.name())], count)
        });
        family.counters("portamento_undelivered_bytes_total", undelivered)?;
        family.counters(
            "portamento_splice_fallbacks_total",
            Fallback::ALL.map(|reason| {
                let count = self.sum(|worker| worker.fallbacks_by(reason));
                ([("reason", reason.name())], count)
            }),
        )?;
        let free = self.gauge(|worker| worker.pipes.free.load(Ordering::Relaxed));
        let alive = self.gauge(|worker| worker.pipes.alive.load(Ordering::Relaxed));
        family.gauges(
            "portamento_pipes",
            [
                ([("state", "leased")], alive.saturating_sub(free)),
                ([("state", "free")], free),
            ],
        )?;
        family.gauge("portamento_pipe_size_bytes", self.0.pipe_size())?;
        family.histogram(
            "portamento_forward_delay_seconds",
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
        family.gauges("portamento_worker_connections", loads)?;
        let now = Instant::now();
        let stalls = self
            .0
            .workers
            .iter()
            .map(|worker| worker.pulse.stall_max(now));
        family.gauge(
            "portamento_worker_stall_seconds_max",
            stalls.max().unwrap_or_default().as_secs_f64(),
        )?;
        family.counter("portamento_log_drops_total", logging::dropped())?;
        family.gauge(
            "portamento_draining",
            u64::from(self.0.draining.load(Ordering::Relaxed)),
        )
    }
}

impl Collector for Series {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = Family(encoder);
        family.gauges(
            "portamento_build_info",
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
