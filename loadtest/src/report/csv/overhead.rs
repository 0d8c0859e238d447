//! The figures of `overhead`.

use super::{Figure, Rows, Value};
use crate::report::{
    Difference, KindReport, ProxyReport, Report, TailDifference, TargetReport, TargetTotals,
};

impl From<&Difference> for Value {
    fn from(difference: &Difference) -> Self {
        Self {
            value: difference.median_ns,
            low: Some(difference.low_ns),
            high: Some(difference.high_ns),
            rounds: Some(difference.pairs),
        }
    }
}

impl From<&TailDifference> for Value {
    fn from(difference: &TailDifference) -> Self {
        Self {
            value: difference.difference_ns,
            low: Some(difference.low_ns),
            high: Some(difference.high_ns),
            rounds: None,
        }
    }
}

/// Writes them.
pub(super) fn write(report: &Report, rows: &mut Rows) -> Result<(), ::csv::Error> {
    report.kinds.iter().try_for_each(|kind| calls(kind, rows))?;
    report
        .targets
        .iter()
        .try_for_each(|target| all_calls(target, rows))?;
    report
        .proxies
        .iter()
        .try_for_each(|proxy| used(proxy, rows))
}

fn calls(kind: &KindReport, rows: &mut Rows) -> Result<(), ::csv::Error> {
    let through = kind.through.iter().map(|through| {
        let name = through.proxy.as_str();
        let tail = Some(&through.added_tail);
        (name, &through.calls, through.added.as_ref(), tail)
    });
    let own = [
        ("direct", &kind.direct, None, None),
        ("null", &kind.null, kind.noise.as_ref(), None),
    ];
    for (name, calls, added, tail) in own.into_iter().chain(through) {
        let of = Figure {
            scenario: &kind.kind,
            target: name,
            ..Figure::default()
        };
        target(of, calls, rows)?;
        let figure = |metric| Figure {
            metric,
            base: "direct",
            unit: "ns",
            ..of
        };
        rows.push(figure("added_p50"), added)?;
        if let Some(tail) = tail {
            rows.push(figure("added_p90"), tail.p90.as_ref())?;
            rows.push(figure("added_p99"), tail.p99.as_ref())?;
            rows.push(figure("added_p99.9"), tail.p999.as_ref())?;
        }
    }
    Ok(())
}

fn target(of: Figure<'_>, calls: &TargetReport, rows: &mut Rows) -> Result<(), ::csv::Error> {
    for (metric, count) in [
        ("requests", calls.requests),
        ("errors", calls.errors),
        ("different", calls.different),
    ] {
        let figure = Figure {
            metric,
            unit: "requests",
            ..of
        };
        rows.push(figure, Some(count))?;
    }
    rows.distribution(of, "", &calls.latency)?;
    match &calls.service {
        Some(service) => rows.distribution(of, "service_", service),
        None => Ok(()),
    }
}

fn all_calls(totals: &TargetTotals, rows: &mut Rows) -> Result<(), ::csv::Error> {
    let figure = |metric, unit| Figure {
        scenario: "all",
        target: &totals.target,
        metric,
        base: "",
        unit,
    };
    let unsent = Some(totals.unsent).filter(|_| totals.offered_per_s.is_some());
    rows.push(figure("requests", "requests"), Some(totals.requests))?;
    rows.push(figure("answers", "bytes"), Some(totals.answer_bytes))?;
    rows.push(figure("offered", "requests/s"), totals.offered_per_s)?;
    rows.push(figure("rate", "requests/s"), Some(totals.achieved_per_s))?;
    rows.push(figure("unsent", "requests"), unsent)?;
    let cpu = totals.machine_cpu_us_per_request;
    rows.push(figure("machine_cpu", "us/request"), Some(cpu))
}

fn used(proxy: &ProxyReport, rows: &mut Rows) -> Result<(), ::csv::Error> {
    let figure = |metric, unit| Figure {
        scenario: "all",
        target: &proxy.name,
        metric,
        base: "",
        unit,
    };
    rows.push(figure("cpu", "us/request"), Some(proxy.cpu_us_per_request))?;
    rows.push(figure("cpu_per_gib", "s/GiB"), Some(proxy.cpu_s_per_gib))?;
    rows.push(
        figure("switches", "1/request"),
        Some(proxy.switches_per_request),
    )?;
    rows.push(figure("syscalls", "1/request"), proxy.syscalls_per_request)?;
    rows.push(figure("rss", "bytes"), Some(proxy.rss_bytes))?;
    rows.push(figure("peak_rss", "bytes"), Some(proxy.peak_rss_bytes))
}
