//! A comparison as text, at most 100 columns wide.

use std::fmt::{self, Display, Formatter};

use super::measured_table::{checked, failure, figure, idle, median, ratio, warnings};
use super::text::wrapped;
use super::{Estimate, Measured, Row, Scenario};
use crate::units::millis;

/// Prints a comparison.
#[derive(Debug)]
pub struct CompareTable<'a>(pub &'a Measured);

/// What all are set against.
const BASE: &str = "portamento";
const CONTROL: &str = "portamento-again";

impl Display for CompareTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        header(f, report)?;
        for (place, scenario) in report.scenarios.iter().enumerate() {
            writeln!(f)?;
            match scenario.unit.as_str() {
                "GiB" => bulk(f, scenario)?,
                "idle connection" => idle(f, scenario)?,
                _ => requests(f, scenario)?,
            }
            failures(f, scenario, &report.scenarios[..place])?;
        }
        checked(f, report)?;
        control(f, report)?;
        warnings(f, report)
    }
}

fn header(f: &mut Formatter<'_>, report: &Measured) -> fmt::Result {
    let run = format!(
        "Direct, portamento and its peers in turns: {:.0} s, {} rounds, {:.0} ms for each scenario.",
        report.took_s,
        report.rounds,
        report.slice_s * 1e3
    );
    wrapped(f, "", &run)?;
    wrapped(
        f,
        "",
        "Ratios are against portamento, medians of the rounds' own; [95 % interval]. A higher rate \
         is better, a lower time and CPU is.",
    )?;
    for target in &report.targets {
        let label = format!("{}: ", target.name);
        match (&target.missing, &target.version) {
            (Some(why), _) => wrapped(f, &label, &format!("not measured, {why}"))?,
            (None, Some(version)) => wrapped(f, &label, version)?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn bulk(f: &mut Formatter<'_>, scenario: &Scenario) -> fmt::Result {
    writeln!(f, "{}", scenario.name)?;
    writeln!(
        f,
        "  {:<16}{:>7}{:>23}{:>12}{:>23}{:>16}",
        "", "GiB/s", "ratio", "CPU, s/GiB", "ratio", "machine, s/GiB"
    )?;
    for row in &scenario.rows {
        writeln!(
            f,
            "  {:<16}{:>7}{:>23}{:>12}{:>23}{:>16}",
            row.target,
            median(row.rate.as_ref()),
            against(row, "rate"),
            median(row.cpu_s.as_ref()),
            against(row, "cpu_s"),
            median(row.machine_cpu_s.as_ref())
        )?;
    }
    Ok(())
}

fn requests(f: &mut Formatter<'_>, scenario: &Scenario) -> fmt::Result {
    // What is done as often as possible is judged by its rate, what is waited for by its time.
    let (label, metric) = match scenario.unit.as_str() {
        "connection" => ("rate, ratio", "rate"),
        _ => ("p50, ratio", "p50_ns"),
    };
    let rate = format!("{}s/s", scenario.unit);
    writeln!(f, "{}", scenario.name)?;
    writeln!(
        f,
        "  {:<16}{:>13}{:>8}{:>8}{:>22}{:>8}{:>22}",
        "", rate, "p50, ms", "p99", label, "CPU, µs", "ratio"
    )?;
    for row in &scenario.rows {
        let time = |time: Option<u64>| {
            time.map_or_else(super::measured_table::dash, |ns| millis(ns as f64))
        };
        let cpu = row.cpu_s.as_ref().map(|cpu: &Estimate| cpu.median * 1e6);
        writeln!(
            f,
            "  {:<16}{:>13}{:>8}{:>8}{:>22}{:>8}{:>22}",
            row.target,
            median(row.rate.as_ref()),
            time(row.latency.p50_ns),
            time(row.latency.p99_ns),
            against(row, metric),
            figure(cpu),
            against(row, "cpu_s")
        )?;
    }
    Ok(())
}

/// What failed; in full where it did not fail in the same way in `earlier` scenarios.
fn failures(f: &mut Formatter<'_>, scenario: &Scenario, earlier: &[Scenario]) -> fmt::Result {
    let known = |row: &Row| {
        let mut rows = earlier.iter().flat_map(|scenario| &scenario.rows);
        rows.any(|other| other.target == row.target && same(other, row))
    };
    for row in scenario.rows.iter().filter(|row| row.errors > 0) {
        match known(row) {
            true => wrapped(f, "    failed: ", &format!("{}, as above", row.target))?,
            false => failure(f, row)?,
        }
    }
    Ok(())
}

/// Whether two failed alike, whatever numbers of processes, ports and bytes they name.
fn same(one: &Row, other: &Row) -> bool {
    let words = |row: &Row| {
        let failure = row.failure.as_ref();
        failure.map(|text| text.replace(|c: char| c.is_ascii_digit(), ""))
    };
    words(one) == words(other)
}

fn control(f: &mut Formatter<'_>, report: &Measured) -> fmt::Result {
    let Some(control) = &report.control else {
        return Ok(());
    };
    let rows = report.scenarios.iter().flat_map(|scenario| &scenario.rows);
    let covered: Vec<bool> = rows
        .filter(|row| row.target == CONTROL)
        .filter_map(|row| row.against(BASE, "rate")?.covers(1.0))
        .collect();
    let verdict = match control.ratio.covers(1.0) {
        Some(true) => "holds 1, as it should",
        Some(false) => "does not hold 1: do not trust differences of this size",
        None => "too few rounds for an interval",
    };
    let text = format!(
        "portamento against itself, all rates together: {}, {verdict}; alone, {} of {} scenarios \
         hold 1",
        ratio(Some(&control.ratio)),
        covered.iter().filter(|&&covers| covers).count(),
        covered.len()
    );
    wrapped(f, "control: ", &text)
}

fn against(row: &Row, metric: &str) -> String {
    match row.target == BASE {
        true => "1".to_owned(),
        false => ratio(row.against(BASE, metric)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
