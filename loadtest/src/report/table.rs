//! A report as text, at most 100 columns wide.

mod targets;

use std::fmt::{self, Display, Formatter};

use super::text::{merged, wrapped};
use super::{Difference, KindReport, Report, TargetReport, ThroughReport, Totals};
use crate::units::{bytes, millis, signed_millis};

/// Prints a report.
#[derive(Debug)]
pub struct Table<'a>(pub &'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        header(f, report)?;
        writeln!(f)?;
        match report.settings.via.as_slice() {
            [_] => alone(f, report)?,
            _ => side_by_side(f, report)?,
        }
        writeln!(f)?;
        targets::percentiles(f, report)?;
        writeln!(f)?;
        targets::costs(f, report)?;
        writeln!(f)?;
        footer(f, report)
    }
}

fn header(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let settings = &report.settings;
    let backend = match settings.backend.as_str() {
        "stand-in" => "the live-store stand-in".to_owned(),
        _ => settings.direct.clone(),
    };
    wrapped(
        f,
        "",
        &format!("What a read costs through a proxy, compared with {backend} directly."),
    )?;
    for proxy in &report.proxies {
        wrapped(f, &format!("{}: ", proxy.name), &proxy.command)?;
    }
    if report.proxies.is_empty() {
        wrapped(f, "proxy: ", &settings.via.join(" "))?;
    }
    merged(f, &report.merged)?;
    let plural = if settings.connections == 1 { "" } else { "s" };
    let mode = match settings.rate_per_s {
        None => "closed loop".to_owned(),
        Some(rate) => format!("open loop, {rate} calls/s to each target in its turns"),
    };
    wrapped(
        f,
        "run: ",
        &format!(
            "{:.1} s, {} rounds, {mode}, {} connection{plural} x {} streams to each target, calls: \
             {}, compression {}, TLS {}, seed {}",
            report.measured_s,
            report.rounds,
            settings.connections,
            settings.streams,
            settings.mix.join(", "),
            settings.compression,
            settings.tls,
            settings.seed
        ),
    )
}

/// One proxy: a row for each kind.
fn alone(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(
        f,
        "{:30}{:^18}{:^18}{:^25}{:>8}",
        "", "p50, ms", "p99, ms", "added to the median, ms", "noise,"
    )?;
    writeln!(
        f,
        "{:<13}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}{:^25}{:>8}",
        "call",
        "requests",
        "errors",
        "direct",
        "through",
        "direct",
        "through",
        "[95 % interval]",
        "ms"
    )?;
    for kind in &report.kinds {
        let sum = |of: fn(&TargetReport) -> u64| kind.targets().map(of).sum::<u64>();
        let (requests, errors) = (sum(|target| target.requests), sum(|target| target.errors));
        // A long name takes from the room of the number.
        let width = 22 - kind.kind.chars().count().clamp(13, 18);
        write!(f, "{:<13}{requests:>width$}{errors:>8}", kind.kind)?;
        for through in &kind.through {
            times_of(f, kind, through)?;
        }
        writeln!(f, "{:>8}", noise(kind))?;
    }
    total(f, 13, report)
}

/// Several proxies: a row for each below a line for the kind.
fn side_by_side(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(
        f,
        "{:35}{:^18}{:^18}{:>25}",
        "call", "p50, ms", "p99, ms", "added to the median, ms"
    )?;
    writeln!(
        f,
        "  {:<16}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}{:>25}",
        "through",
        "requests",
        "errors",
        "direct",
        "through",
        "direct",
        "through",
        "[95 % interval]"
    )?;
    for kind in &report.kinds {
        writeln!(f, "{} (noise {} ms)", kind.kind, noise(kind))?;
        for through in &kind.through {
            let TargetReport {
                requests, errors, ..
            } = through.calls;
            write!(f, "  {:<16}{requests:>9}{errors:>8}", through.proxy)?;
            times_of(f, kind, through)?;
            writeln!(f)?;
        }
    }
    total(f, 18, report)
}

fn times_of(f: &mut Formatter<'_>, kind: &KindReport, through: &ThroughReport) -> fmt::Result {
    let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |ns| millis(ns as f64));
    let added = through.added.as_ref().map_or_else(
        || "-".to_owned(),
        |added| {
            let mark = match kind.stands_out(through) {
                Some(true) => ' ',
                _ => '~',
            };
            let median = signed_millis(added.median_ns);
            format!("{mark}{median} {}", interval(added))
        },
    );
    let (direct, through) = (&kind.direct.latency, &through.calls.latency);
    write!(
        f,
        "{:>9}{:>9}{:>9}{:>9}{added:>25}",
        time(direct.p50_ns),
        time(through.p50_ns),
        time(direct.p99_ns),
        time(through.p99_ns)
    )
}

fn noise(kind: &KindReport) -> String {
    let noise = kind.noise.as_ref();
    noise.map_or_else(|| "-".to_owned(), |noise| signed_millis(noise.median_ns))
}

fn total(f: &mut Formatter<'_>, width: usize, report: &Report) -> fmt::Result {
    let Totals {
        requests, errors, ..
    } = report.totals;
    writeln!(f, "{:<width$}{requests:>9}{errors:>8}", "total")
}

fn interval(difference: &Difference) -> String {
    let (low, high) = (
        signed_millis(difference.low_ns),
        signed_millis(difference.high_ns),
    );
    format!("[{low}, {high}]")
}

fn footer(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let totals = &report.totals;
    match &report.syscalls_unavailable {
        _ if report.proxies.is_empty() => wrapped(
            f,
            "proxy: ",
            "CPU and memory unknown, for this run did not start it",
        )?,
        Some(why) => wrapped(f, "system calls: ", &format!("not counted, for {why}"))?,
        None => {}
    }
    let load = format!(
        "{:.0} % of the time of its {} threads",
        report.client_load * 100.0,
        report.environment.cpus
    );
    wrapped(f, "client: ", &load)?;
    let verdict = match totals.different {
        0 => "all identical".to_owned(),
        different => format!("{different} of them different"),
    };
    writeln!(
        f,
        "answers: {} compared byte for byte, {verdict}",
        bytes(totals.compared_bytes)
    )?;
    let hidden = |kind: &KindReport| {
        let mut through = kind.through.iter();
        through.any(|through| {
            let mut tail = through.added_tail.differences();
            kind.stands_out(through) == Some(false) || tail.any(|added| !added.stands_out())
        })
    };
    if report.kinds.iter().any(hidden) {
        wrapped(
            f,
            "~ ",
            "does not stand out from the noise: direct against direct, or what chance does to the rounds",
        )?;
    }
    for failure in &report.failures {
        let target = &failure.target;
        wrapped(
            f,
            "error: ",
            &format!("{} ({target}): {}", failure.call, failure.what),
        )?;
    }
    let shown = report.failures.len() as u64;
    if totals.errors > shown {
        writeln!(f, "error: and {} more", totals.errors - shown)?;
    }
    let mut warnings = report.warnings.iter();
    warnings.try_for_each(|warning| wrapped(f, "warning: ", warning))?;
    let mut failed = report.failed_if.iter();
    failed.try_for_each(|condition| wrapped(f, "failed: --fail-if ", condition))
}

#[cfg(test)]
pub(crate) mod tests;
