//! Percentiles of each target, and what its calls cost.

use std::fmt::{self, Formatter};

use super::super::{
    Distribution, KindReport, ProxyReport, Report, Tail, TargetReport, TargetTotals, ThroughReport,
};
use crate::units::{bytes, millis, short, signed_millis};

/// All percentiles, a row for each target of each kind.
pub(super) fn percentiles(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let is_open = report.settings.mode == "open";
    if is_open {
        writeln!(
            f,
            "{:33}{:^45}{:>18}",
            "", "from when it should begin", "from when it did"
        )?;
    }
    write!(
        f,
        "{:<16}{:<17}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "ms", "", "p50", "p90", "p99", "p99.9", "max"
    )?;
    match is_open {
        true => writeln!(f, "{:>9}{:>9}", "p50", "p99")?,
        false => writeln!(f)?,
    }
    for kind in &report.kinds {
        write!(f, "{:<16}{:<17}", kind.kind, "direct")?;
        times(f, &kind.direct)?;
        // The null run tells nothing new here.
        for through in &kind.through {
            write!(f, "{:<16}{:<17}", "", through.proxy)?;
            times(f, &through.calls)?;
            added(f, kind, through)?;
        }
    }
    Ok(())
}

/// What a proxy adds to each percentile; marked where that may be nothing.
fn added(f: &mut Formatter<'_>, kind: &KindReport, through: &ThroughReport) -> fmt::Result {
    let Tail { p90, p99, p999 } = &through.added_tail;
    let median = through.added.as_ref();
    let median = median.map(|added| (added.median_ns, kind.stands_out(through) == Some(true)));
    let tail = [p90, p99, p999].map(|difference| {
        let difference = difference.as_ref()?;
        Some((difference.difference_ns, difference.stands_out()))
    });
    let all = [median, tail[0], tail[1], tail[2]];
    if all.iter().all(Option::is_none) {
        return Ok(());
    }
    write!(f, "{:<18}{:<15}", "", "added")?;
    for value in all {
        let text = value.map_or_else(
            || "-".to_owned(),
            |(nanoseconds, stands_out)| {
                let mark = if stands_out { "" } else { "~" };
                format!("{mark}{}", signed_millis(nanoseconds))
            },
        );
        write!(f, "{text:>9}")?;
    }
    writeln!(f)
}

fn times(f: &mut Formatter<'_>, target: &TargetReport) -> fmt::Result {
    let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |ns| millis(ns as f64));
    let Distribution {
        p50_ns,
        p90_ns,
        p99_ns,
        p999_ns,
        max_ns,
        ..
    } = target.latency;
    for value in [p50_ns, p90_ns, p99_ns, p999_ns, max_ns] {
        write!(f, "{:>9}", time(value))?;
    }
    if let Some(service) = &target.service {
        write!(f, "{:>9}{:>9}", time(service.p50_ns), time(service.p99_ns))?;
    }
    writeln!(f)
}

/// Rates, CPU and memory, a row for each target.
pub(super) fn costs(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(
        f,
        "{:<17}{:>9}{:>9}{:>10}{:^18}{:>9}{:>9}{:>18}",
        "all kinds",
        "answered",
        "offered",
        "machine",
        "proxy CPU",
        "context",
        "system",
        "proxy memory"
    )?;
    writeln!(
        f,
        "{:<17}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "for each call",
        "calls/s",
        "calls/s",
        "CPU µs",
        "µs",
        "s/GiB",
        "switches",
        "calls",
        "at end",
        "peak"
    )?;
    for target in &report.targets {
        let proxy = report
            .proxies
            .iter()
            .find(|proxy| proxy.name == target.target);
        cost(f, target, proxy)?;
    }
    Ok(())
}

fn cost(f: &mut Formatter<'_>, target: &TargetTotals, proxy: Option<&ProxyReport>) -> fmt::Result {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
    let memory = |of: fn(&ProxyReport) -> u64| {
        proxy.map_or_else(|| "-".to_owned(), |proxy| bytes(of(proxy)))
    };
    writeln!(
        f,
        "{:<17}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        target.target,
        short(target.achieved_per_s),
        figure(target.offered_per_s),
        short(target.machine_cpu_us_per_request),
        figure(proxy.map(|proxy| proxy.cpu_us_per_request)),
        figure(proxy.map(|proxy| proxy.cpu_s_per_gib)),
        figure(proxy.map(|proxy| proxy.switches_per_request)),
        figure(proxy.and_then(|proxy| proxy.syscalls_per_request)),
        memory(|proxy| proxy.rss_bytes),
        memory(|proxy| proxy.peak_rss_bytes)
    )
}
