//! Reports of `throughput`, `latency` and `connections` become one.

use super::{Part, apart, kept, pool, same, warnings};
use crate::report::{Comparison, Estimate, Idle, Measured, Row, Scenario};

/// The report of all `parts`, of which there is at least one.
///
/// # Errors
/// When one does not go together with the first.
pub(super) fn merge(parts: Vec<Part<Measured>>) -> anyhow::Result<Measured> {
    let (first_name, first) = &parts[0];
    for (name, report) in &parts[1..] {
        check((first_name, first), (name, report))?;
    }
    let reports = || parts.iter().map(|(_, report)| report);
    let merged: Vec<_> = parts
        .iter()
        .map(|(file, report)| {
            let Measured {
                started_at,
                took_s,
                command,
                environment,
                ..
            } = report;
            kept(file, started_at, *took_s, command, environment)
        })
        .collect();
    let mut told = warnings(
        parts
            .iter()
            .map(|(file, report)| (file.as_str(), report.warnings.as_slice())),
    );
    told.extend(apart(&merged));
    let scenarios = first
        .scenarios
        .iter()
        .enumerate()
        .map(|(place, scenario)| Scenario {
            rows: (0..scenario.rows.len())
                .map(|row| {
                    merged_row(
                        &reports()
                            .map(|report| &report.scenarios[place].rows[row])
                            .collect::<Vec<_>>(),
                    )
                })
                .collect(),
            ..scenario.clone()
        });
    Ok(Measured {
        command: std::env::args().collect(),
        started_at: reports()
            .map(|report| &report.started_at)
            .min()
            .cloned()
            .unwrap_or_default(),
        took_s: reports().map(|report| report.took_s).fold(0.0, f64::max),
        scenarios: scenarios.collect(),
        control: None,
        syscalls_unavailable: reports().find_map(|report| report.syscalls_unavailable.clone()),
        warnings: told,
        failed_if: parts
            .iter()
            .flat_map(|(file, report)| {
                report
                    .failed_if
                    .iter()
                    .map(move |text| format!("{file}: {text}"))
            })
            .collect(),
        merged,
        ..first.clone()
    })
}

/// Whether two reports measured the same in the same way.
fn check(one: (&str, &Measured), other: (&str, &Measured)) -> anyhow::Result<()> {
    let names = (one.0, other.0);
    let (one, other) = (one.1, other.1);
    same(names, "rounds", &one.rounds, &other.rounds)?;
    same(names, "slice_s", &one.slice_s, &other.slice_s)?;
    same(names, "backend", &one.backend, &other.backend)?;
    let targets = |report: &Measured| {
        let targets = report.targets.iter().map(|target| target.name.clone());
        targets.collect::<Vec<_>>()
    };
    same(names, "targets", &targets(one), &targets(other))?;
    let scenarios = |report: &Measured| {
        let scenarios = report
            .scenarios
            .iter()
            .map(|scenario| scenario.name.clone());
        scenarios.collect::<Vec<_>>()
    };
    same(names, "scenarios", &scenarios(one), &scenarios(other))
}

fn merged_row(all: &[&Row]) -> Row {
    let pooled = |of: fn(&Row) -> Option<&Estimate>| pool::estimates(all.iter().map(|row| of(row)));
    let comparisons = all[0].comparisons.iter().filter_map(|first| {
        let Comparison { base, metric, .. } = first;
        Some(Comparison {
            ratio: pool::estimates(all.iter().map(|row| row.against(base, metric)))?,
            ..first.clone()
        })
    });
    Row {
        target: all[0].target.clone(),
        rounds: all.iter().map(|row| row.rounds).sum(),
        errors: all.iter().map(|row| row.errors).sum(),
        failure: all.iter().find_map(|row| row.failure.clone()),
        bytes: all.iter().map(|row| row.bytes).sum(),
        operations: all.iter().map(|row| row.operations).sum(),
        rate: pool::sum(all.iter().map(|row| row.rate.as_ref())),
        latency: pool::latencies(all.iter().map(|row| &row.latency)),
        cpu_s: pooled(|row| row.cpu_s.as_ref()),
        machine_cpu_s: pooled(|row| row.machine_cpu_s.as_ref()),
        switches: pooled(|row| row.switches.as_ref()),
        syscalls: pool::mean(all.iter().map(|row| (row.syscalls, 1.0))),
        rss_bytes: all.iter().filter_map(|row| row.rss_bytes).max(),
        idle: idle(all),
        comparisons: comparisons.collect(),
    }
}

fn idle(all: &[&Row]) -> Option<Idle> {
    let of = |of: fn(&Idle) -> Option<&Estimate>| {
        pool::estimates(all.iter().map(|row| of(row.idle.as_ref()?)))
    };
    Some(Idle {
        connections: all[0].idle.as_ref()?.connections,
        untouched_bytes: of(|idle| Some(&idle.untouched_bytes))?,
        used_bytes: of(|idle| Some(&idle.used_bytes))?,
        fds: of(|idle| idle.fds.as_ref()),
    })
}
