//! The rounds of one scenario on one target, and what they say together.

use super::block::{Sample, Used};
use crate::connections::idle::IdleSample;
use crate::report::{Comparison, Distribution, Estimate, Idle, Row};
use crate::stats::Latencies;

/// What a scenario counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, 2^30 at a time.
    Gibibyte,
    /// Requests answered.
    Request,
    /// Connections made, used and closed.
    Connection,
    /// Connections that wait.
    IdleConnection,
}

impl Unit {
    /// As reports name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gibibyte => "GiB",
            Self::Request => "request",
            Self::Connection => "connection",
            Self::IdleConnection => "idle connection",
        }
    }

    fn count(self, sample: &Sample) -> f64 {
        match self {
            Self::Gibibyte => sample.bytes as f64 / f64::from(1 << 30),
            _ => sample.operations as f64,
        }
    }
}

/// The figures of one round.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    rate: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    cpu: Option<f64>,
    machine: f64,
    switches: Option<f64>,
}

/// A figure that is compared between targets.
struct Metric {
    name: &'static str,
    of: fn(&Figures) -> Option<f64>,
}

const METRICS: [Metric; 5] = [
    metric("rate", |figures| Some(figures.rate)),
    metric("p50_ns", |figures| figures.p50),
    metric("p99_ns", |figures| figures.p99),
    metric("cpu_s", |figures| figures.cpu),
    metric("machine_cpu_s", |figures| Some(figures.machine)),
];

const fn metric(name: &'static str, of: fn(&Figures) -> Option<f64>) -> Metric {
    Metric { name, of }
}

/// The rounds of one scenario on one target.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// One for each round, by its number; `None` where it failed.
    rounds: Vec<Option<Figures>>,
    idle: Vec<IdleSample>,
    latencies: Latencies,
    bytes: u64,
    operations: u64,
    rss: Option<u64>,
    syscalls: Option<f64>,
    errors: usize,
    failure: Option<String>,
}

impl Series {
    /// Counts a round of load.
    pub(crate) fn record(&mut self, unit: Unit, sample: &Sample) {
        let units = unit.count(sample);
        self.bytes += sample.bytes;
        self.operations += sample.operations;
        if units == 0.0 {
            return self.fail(&anyhow::anyhow!("nothing came through"));
        }
        self.latencies.add(&sample.latencies);
        self.rss = self.rss.max(sample.proxy.map(|used| used.rss));
        let time = |percent| sample.latencies.percentile(percent).map(|ns| ns as f64);
        self.rounds.push(Some(Figures {
            rate: units / sample.time.as_secs_f64(),
            p50: time(50.0),
            p99: time(99.0),
            cpu: sample.proxy.map(|used| used.cpu.as_secs_f64() / units),
            machine: sample.machine.as_secs_f64() / units,
            switches: sample.proxy.map(|used| used.switches as f64 / units),
        }));
    }

    /// Counts a round of idle connections.
    pub(crate) fn record_idle(&mut self, sample: IdleSample) {
        self.operations += sample.connections as u64;
        self.idle.push(sample);
    }

    /// Takes the system calls from a turn that counted them.
    pub(crate) fn record_syscalls(&mut self, unit: Unit, sample: &Sample) {
        let calls = sample.proxy.and_then(|Used { syscalls, .. }| syscalls);
        let units = unit.count(sample);
        self.syscalls = calls
            .filter(|_| units > 0.0)
            .map(|calls| calls as f64 / units);
    }

    /// Counts a round that failed.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.rounds.push(None);
        self.errors += 1;
        self.failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// The first failure.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// Rounds so far, failed ones among them.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The rate of a round, where it did not fail.
    pub(crate) fn rate(&self, round: usize) -> Option<f64> {
        Some((*self.rounds.get(round)?)?.rate)
    }

    /// Rounds that failed in a row, at the end.
    pub(crate) fn failures_in_a_row(&self) -> usize {
        self.rounds
            .iter()
            .rev()
            .take_while(|round| round.is_none())
            .count()
    }

    /// The row of `target`, compared with `bases`: others' names and rounds.
    pub(crate) fn row(&self, target: &str, bases: &[(&str, &Self)]) -> Row {
        let estimate = |of: fn(&Figures) -> Option<f64>| {
            Estimate::of(self.rounds.iter().flatten().filter_map(of).collect())
        };
        let compared = bases.iter().flat_map(|(name, base)| {
            METRICS.iter().filter_map(|Metric { name: metric, of }| {
                let pairs = self.rounds.iter().zip(&base.rounds);
                let ratios = pairs.filter_map(|(own, base)| {
                    let ratio = of(own.as_ref()?)? / of(base.as_ref()?)?;
                    ratio.is_finite().then_some(ratio) // CPU time may read as none at all
                });
                Some(Comparison {
                    base: (*name).to_owned(),
                    metric: (*metric).to_owned(),
                    ratio: Estimate::of(ratios.collect())?,
                })
            })
        });
        Row {
            target: target.to_owned(),
            rounds: self.rounds.iter().flatten().count().max(self.idle.len()),
            errors: self.errors,
            failure: self.failure.clone(),
            bytes: self.bytes,
            operations: self.operations,
            rate: estimate(|figures| Some(figures.rate)),
            latency: Distribution::of(&self.latencies),
            cpu_s: estimate(|figures| figures.cpu),
            machine_cpu_s: estimate(|figures| Some(figures.machine)),
            switches: estimate(|figures| figures.switches),
            syscalls: self.syscalls,
            rss_bytes: self.rss,
            idle: self.idle(),
            comparisons: compared.collect(),
        }
    }

    fn idle(&self) -> Option<Idle> {
        let estimate = |of: fn(&IdleSample) -> Option<f64>| {
            Estimate::of(self.idle.iter().filter_map(of).collect())
        };
        Some(Idle {
            connections: self.idle.first()?.connections,
            untouched_bytes: estimate(|sample| Some(sample.untouched))?,
            used_bytes: estimate(|sample| Some(sample.used))?,
            fds: estimate(|sample| sample.fds),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(operations: u64, cpu_ms: u64) -> Sample {
        let mut latencies = Latencies::new();
        latencies.record(1_000);
        Sample {
            time: Duration::from_secs(2),
            bytes: 0,
            operations,
            latencies,
            proxy: Some(Used {
                cpu: Duration::from_millis(cpu_ms),
                switches: operations * 3,
                rss: 1 << 20,
                syscalls: Some(operations * 4),
            }),
            machine: Duration::from_millis(cpu_ms * 2),
            client_load: 0.5,
            origin_load: None,
            others: None,
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (mut base, mut other) = (Series::default(), Series::default());
        for round in 1..=7 {
            // The machine becomes faster; the ratio stays.
            base.record(Unit::Request, &sample(1_000 * round, 100));
            other.record(Unit::Request, &sample(500 * round, 100));
        }
        let row = other.row("other", &[("base", &base)]);
        let ratio = row.against("base", "rate").unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.rounds), (0.5, Some(0.5), 7));
        assert_eq!(row.against("base", "cpu_s").unwrap().median, 2.0);
        assert_eq!(row.rate.unwrap().median, 1_000.0);
        assert_eq!(row.switches.unwrap().median, 3.0);
        assert_eq!((row.operations, row.errors), (14_000, 0));
    }

    #[test]
    fn a_failed_round_makes_no_pair_and_shifts_none() {
        let (mut base, mut other) = (Series::default(), Series::default());
        for round in 1..=3 {
            base.record(Unit::Request, &sample(100 * round, 1));
        }
        other.record(Unit::Request, &sample(100, 1));
        other.fail(&anyhow::anyhow!("broke"));
        other.record(Unit::Request, &sample(300, 1));
        let row = other.row("other", &[("base", &base)]);
        assert_eq!(row.against("base", "rate").unwrap().rounds, 2);
        assert_eq!(row.against("base", "rate").unwrap().median, 1.0);
        assert_eq!((row.errors, row.failure.as_deref()), (1, Some("broke")));
    }

    #[test]
    fn no_progress_is_a_failure() {
        let mut series = Series::default();
        series.record(Unit::Gibibyte, &sample(0, 1));
        assert_eq!(series.failures_in_a_row(), 1);
    }
}
