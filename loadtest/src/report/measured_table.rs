//! Measured scenarios as text, at most 100 columns wide.

use std::fmt::{self, Display, Formatter};

use super::text::{merged, wrapped};
use super::{Estimate, Measured, Row, Scenario};
use crate::units::{bytes, millis, short};

/// Prints what was measured.
#[derive(Debug)]
pub struct MeasuredTable<'a>(pub &'a Measured);

impl Display for MeasuredTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let base = report.targets.first().map_or("", |target| &target.name);
        header(f, report, base)?;
        for scenario in &report.scenarios {
            writeln!(f)?;
            match scenario.unit.as_str() {
                "GiB" => bulk(f, scenario, base)?,
                "idle connection" => {
                    idle(f, scenario)?;
                    scenario.rows.iter().try_for_each(|row| failure(f, row))?;
                }
                _ => requests(f, scenario, base)?,
            }
        }
        footer(f, report)
    }
}

fn header(f: &mut Formatter<'_>, report: &Measured, base: &str) -> fmt::Result {
    let question = match report.kind.as_str() {
        "throughput" => "Bulk over plain TCP",
        "latency" => "Requests and responses over plain TCP",
        _ => "Connections over plain TCP",
    };
    wrapped(
        f,
        "",
        &format!("{question}, compared with {base} round by round."),
    )?;
    for target in report.targets.iter().skip(1) {
        if let Some(command) = &target.command {
            wrapped(f, &format!("{}: ", target.name), command)?;
        }
    }
    merged(f, &report.merged)?;
    let run = format!(
        "{:.1} s, {} rounds, {:.0} ms a turn, {} client threads at most; [95 % interval]",
        report.took_s,
        report.rounds,
        report.slice_s * 1e3,
        report.client_threads
    );
    wrapped(f, "run: ", &run)
}

fn bulk(f: &mut Formatter<'_>, scenario: &Scenario, base: &str) -> fmt::Result {
    let against = format!("against {base}");
    writeln!(
        f,
        "{:<20}{:>8}{against:>23}{:>11}{:>11}{:>13}{:>13}",
        scenario.name, "GiB/s", "proxy CPU", "machine", "context", "system"
    )?;
    writeln!(
        f,
        "{:51}{:>11}{:>11}{:>13}{:>13}",
        "", "s/GiB", "s/GiB", "switches/MiB", "calls/MiB"
    )?;
    for row in &scenario.rows {
        let per_mebibyte = |count: Option<f64>| figure(count.map(|count| count / 1_024.0));
        writeln!(
            f,
            "  {:<18}{:>8}{:>23}{:>11}{:>11}{:>13}{:>13}",
            row.target,
            median(row.rate.as_ref()),
            ratio(row.against(base, "rate")),
            median(row.cpu_s.as_ref()),
            median(row.machine_cpu_s.as_ref()),
            per_mebibyte(row.switches.as_ref().map(|switches| switches.median)),
            per_mebibyte(row.syscalls)
        )?;
        failure(f, row)?;
    }
    Ok(())
}

fn requests(f: &mut Formatter<'_>, scenario: &Scenario, base: &str) -> fmt::Result {
    let against = format!("against {base}");
    writeln!(
        f,
        "{:<38}{:>14}{against:>23}{:>23}",
        scenario.name,
        format!("{}s/s", scenario.unit),
        format!("p50 against {base}")
    )?;
    for row in &scenario.rows {
        writeln!(
            f,
            "  {:<36}{:>14}{:>23}{:>23}",
            row.target,
            median(row.rate.as_ref()),
            ratio(row.against(base, "rate")),
            ratio(row.against(base, "p50_ns"))
        )?;
        failure(f, row)?;
    }
    writeln!(
        f,
        "  {:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "ms; µs",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "proxy CPU",
        "machine",
        "switches",
        "syscalls"
    )?;
    for row in &scenario.rows {
        let time = |time: Option<u64>| time.map_or_else(dash, |ns| millis(ns as f64));
        let micros = |cpu: Option<&Estimate>| figure(cpu.map(|cpu| cpu.median * 1e6));
        let latency = &row.latency;
        writeln!(
            f,
            "  {:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}",
            row.target,
            time(latency.p50_ns),
            time(latency.p90_ns),
            time(latency.p99_ns),
            time(latency.p999_ns),
            time(latency.max_ns),
            micros(row.cpu_s.as_ref()),
            micros(row.machine_cpu_s.as_ref()),
            median(row.switches.as_ref()),
            figure(row.syscalls)
        )?;
    }
    Ok(())
}

pub(super) fn idle(f: &mut Formatter<'_>, scenario: &Scenario) -> fmt::Result {
    writeln!(
        f,
        "{:<30}{:>20}{:>20}{:>14}",
        scenario.name, "resident, untouched", "after traffic", "open files"
    )?;
    for row in &scenario.rows {
        let bytes = |of: Option<&Estimate>| {
            of.map_or_else(dash, |estimate| format!("{:.0} B", estimate.median))
        };
        let idle = row.idle.as_ref();
        writeln!(
            f,
            "  {:<28}{:>20}{:>20}{:>14}",
            row.target,
            bytes(idle.map(|idle| &idle.untouched_bytes)),
            bytes(idle.map(|idle| &idle.used_bytes)),
            median(idle.and_then(|idle| idle.fds.as_ref()))
        )?;
    }
    Ok(())
}

fn footer(f: &mut Formatter<'_>, report: &Measured) -> fmt::Result {
    checked(f, report)?;
    if let Some(why) = &report.syscalls_unavailable {
        wrapped(f, "system calls: ", &format!("not counted, for {why}"))?;
    }
    warnings(f, report)
}

/// How much was checked, and how that went.
pub(super) fn checked(f: &mut Formatter<'_>, report: &Measured) -> fmt::Result {
    writeln!(f)?;
    let rows = || report.scenarios.iter().flat_map(|scenario| &scenario.rows);
    let (sent, answered) = rows().fold((0, 0), |(sent, answered), row| {
        (sent + row.bytes, answered + row.operations)
    });
    let failed: usize = rows().map(|row| row.errors).sum();
    let verdict = match failed {
        0 => "all correct".to_owned(),
        failed => format!("{failed} turns failed"),
    };
    let sent = bytes(sent);
    writeln!(
        f,
        "checked: {sent} of bulk and {answered} answers, {verdict}"
    )
}

pub(super) fn warnings(f: &mut Formatter<'_>, report: &Measured) -> fmt::Result {
    let mut warnings = report.warnings.iter();
    warnings.try_for_each(|warning| wrapped(f, "warning: ", warning))?;
    let mut failed = report.failed_if.iter();
    failed.try_for_each(|condition| wrapped(f, "failed: --fail-if ", condition))
}

pub(super) fn failure(f: &mut Formatter<'_>, row: &Row) -> fmt::Result {
    match &row.failure {
        Some(failure) => {
            let turns = if row.errors == 1 { "turn" } else { "turns" };
            wrapped(
                f,
                "    failed: ",
                &format!("{}, {} {turns}: {failure}", row.target, row.errors),
            )
        }
        None => Ok(()),
    }
}

pub(super) fn ratio(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(dash, |estimate| match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{:.3} [{low:.3}, {high:.3}]", estimate.median),
        _ => format!("{:.3}", estimate.median),
    })
}

pub(super) fn median(estimate: Option<&Estimate>) -> String {
    figure(estimate.map(|estimate| estimate.median))
}

pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(dash, short)
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
