//! The figures of `overhead` that conditions can be about.

use super::{Condition, Figure, Metric, Quantity};
use crate::report::{Distribution, KindReport, Report, Tail, ThroughReport};

/// All of them.
pub(crate) const OVERHEAD: &[Metric] = &[
    metric("p50-added", Quantity::Added),
    metric("p90-added", Quantity::Added),
    metric("p99-added", Quantity::Added),
    metric("p99.9-added", Quantity::Added),
    metric("p50", Quantity::Time),
    metric("p90", Quantity::Time),
    metric("p99", Quantity::Time),
    metric("p99.9", Quantity::Time),
    metric("max", Quantity::Time),
    metric("errors", Quantity::Number),
    metric("achieved", Quantity::Share),
    metric("cpu-per-request", Quantity::Time),
    metric("machine-cpu-per-request", Quantity::Time),
    metric("peak-memory", Quantity::Memory),
];

const fn metric(name: &'static str, quantity: Quantity) -> Metric {
    Metric { name, quantity }
}

/// What `report` has for `condition`'s metric.
pub(crate) fn figures(report: &Report, condition: &Condition) -> Vec<Figure> {
    let plain = |target: &str, value: Option<f64>| Figure {
        place: String::new(),
        target: target.to_owned(),
        value,
        interval: None,
    };
    match condition.metric() {
        "errors" if !condition.has_place() => {
            vec![plain("all targets", Some(report.totals.errors as f64))]
        }
        "errors" => errors(report),
        "achieved" => {
            let targets = report.targets.iter();
            let share = targets.map(|target| {
                let offered = target.offered_per_s;
                plain(
                    &target.target,
                    offered.map(|offered| target.achieved_per_s / offered),
                )
            });
            share.collect()
        }
        "cpu-per-request" => {
            let proxies = report.proxies.iter();
            let cpu = proxies.map(|proxy| plain(&proxy.name, Some(proxy.cpu_us_per_request * 1e3)));
            cpu.collect()
        }
        "machine-cpu-per-request" => {
            let through = report.targets.iter().skip(2); // direct and null
            let cpu = through.map(|target| {
                plain(
                    &target.target,
                    Some(target.machine_cpu_us_per_request * 1e3),
                )
            });
            cpu.collect()
        }
        "peak-memory" => {
            let proxies = report.proxies.iter();
            proxies
                .map(|proxy| plain(&proxy.name, Some(proxy.peak_rss_bytes as f64)))
                .collect()
        }
        name => {
            let kinds = report.kinds.iter();
            let rows = kinds.flat_map(|kind| kind.through.iter().map(move |row| (kind, row)));
            rows.map(|(kind, through)| {
                let (value, interval) = latency(name, kind, through, condition.is_share());
                Figure {
                    place: kind.kind.clone(),
                    target: through.proxy.clone(),
                    value,
                    interval,
                }
            })
            .collect()
        }
    }
}

/// One for each kind of call, all targets together.
fn errors(report: &Report) -> Vec<Figure> {
    let kinds = report.kinds.iter().map(|kind| {
        let errors: u64 = kind.targets().map(|target| target.errors).sum();
        Figure {
            place: kind.kind.clone(),
            target: "all targets".to_owned(),
            value: Some(errors as f64),
            interval: None,
        }
    });
    kinds.collect()
}

type Value = (Option<f64>, Option<(f64, f64)>);

/// A time in nanoseconds, or where `as_share`, as a share of the direct calls' percentile.
fn latency(name: &str, kind: &KindReport, through: &ThroughReport, as_share: bool) -> Value {
    let Some(percentile) = name.strip_suffix("-added") else {
        let value = percentile_of(&through.calls.latency, name);
        return (value, None);
    };
    let Tail { p90, p99, p999 } = &through.added_tail;
    let tail = match percentile {
        "p90" => p90,
        "p99" => p99,
        "p99.9" => p999,
        _ => &None,
    };
    let median = through.added.as_ref().filter(|_| percentile == "p50");
    let added = match (median, tail) {
        (Some(added), _) => (added.median_ns, added.low_ns, added.high_ns),
        (None, Some(tail)) => (tail.difference_ns, tail.low_ns, tail.high_ns),
        (None, None) => return (None, None),
    };
    let direct = match as_share {
        true => percentile_of(&kind.direct.latency, percentile),
        false => Some(1.0),
    };
    let Some(direct) = direct else {
        return (None, None);
    };
    let (value, low, high) = added;
    (Some(value / direct), Some((low / direct, high / direct)))
}

fn percentile_of(distribution: &Distribution, name: &str) -> Option<f64> {
    let value = match name {
        "p50" => distribution.p50_ns,
        "p90" => distribution.p90_ns,
        "p99" => distribution.p99_ns,
        "p99.9" => distribution.p999_ns,
        _ => distribution.max_ns,
    };
    value.map(|nanoseconds| nanoseconds as f64)
}
