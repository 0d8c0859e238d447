//! `loadtest merge`: the reports of several machines, which made load at the same time, as one.
//!
//! What is a count is added, what is a rate is summed, histograms are added. The differences and
//! ratios of all machines' rounds are pooled: put together as if one machine had made them all,
//! with the median and its interval of the whole. That holds while the machines see the same; where
//! they do not, a warning says so.

mod measured;
mod overhead;
mod pool;

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use crate::cli::MergeArgs;
use crate::fail_if::{
    self, Condition, MEASURED, Metric, OVERHEAD, measured_figures, overhead_figures,
};
use crate::report::{AnyReport, Environment, Merged};

/// Merges the reports that the flags name.
///
/// # Errors
/// When one cannot be read, or does not go together with the first: which, and in what.
pub fn run(args: &MergeArgs) -> anyhow::Result<AnyReport> {
    let mut reports = Vec::new();
    for path in &args.reports {
        let name = name(path);
        let report = AnyReport::read(path)?;
        if let Some((other, _)) = reports.iter().find(|(_, other)| *other == report) {
            bail!("{other} and {name} are the same report");
        }
        reports.push((name, report));
    }
    let mut merged = merge(reports)?;
    judge(&mut merged, &args.fail_if)?;
    Ok(merged)
}

/// Holds `conditions` against the merged report; it also keeps those that held for a single one.
fn judge(report: &mut AnyReport, conditions: &[Condition]) -> anyhow::Result<()> {
    let (held, unsure) = match &*report {
        AnyReport::Overhead(report) => {
            let kinds = report.kinds.iter().map(|kind| kind.kind.clone());
            check(conditions, OVERHEAD, &kinds.collect::<Vec<_>>())?;
            fail_if::judge(conditions, |condition| overhead_figures(report, condition))
        }
        AnyReport::Measured(report) => {
            let scenarios = report
                .scenarios
                .iter()
                .map(|scenario| scenario.name.clone());
            check(conditions, MEASURED, &scenarios.collect::<Vec<_>>())?;
            fail_if::judge(conditions, |condition| measured_figures(report, condition))
        }
        AnyReport::Soak(_) => return Ok(()), // is not merged
    };
    let (failed_if, warnings) = match report {
        AnyReport::Overhead(report) => (&mut report.failed_if, &mut report.warnings),
        AnyReport::Measured(report) => (&mut report.failed_if, &mut report.warnings),
        AnyReport::Soak(_) => return Ok(()),
    };
    failed_if.extend(held);
    warnings.extend(unsure);
    Ok(())
}

fn check(conditions: &[Condition], metrics: &[Metric], places: &[String]) -> anyhow::Result<()> {
    let mut conditions = conditions.iter();
    let checked = conditions.try_for_each(|condition| condition.check(metrics, places));
    checked.map_err(anyhow::Error::msg)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// A report and the file that it is from.
type Part<T> = (String, T);

fn merge(reports: Vec<Part<AnyReport>>) -> anyhow::Result<AnyReport> {
    let (first, kind) = match reports.first() {
        Some((name, report)) => (name.clone(), report.kind().to_owned()),
        None => bail!("there is no report"),
    };
    if matches!(kind.as_str(), "soak" | "compare") {
        bail!("{first}: reports of {kind} cannot be merged");
    }
    let (mut calls, mut scenarios) = (Vec::new(), Vec::new());
    for (name, report) in reports {
        same((&first, &name), "command", &kind, &report.kind().to_owned())?;
        match report {
            AnyReport::Overhead(report) => calls.push((name, *report)),
            AnyReport::Measured(report) => scenarios.push((name, report)),
            AnyReport::Soak(_) => {} // refused above
        }
    }
    match calls.is_empty() {
        false => overhead::merge(calls).map(AnyReport::from),
        true => measured::merge(scenarios).map(AnyReport::from),
    }
}

/// Fails unless both reports have the same of `what`. Of objects, it tells which field differs.
///
/// # Errors
/// Both files, the field, and both values.
fn same<T: Serialize>(names: (&str, &str), what: &str, one: &T, other: &T) -> anyhow::Result<()> {
    let [one, other] = [one, other].map(serde_json::to_value);
    let Some((field, one, other)) = difference(what, &one?, &other?) else {
        return Ok(());
    };
    let (first, second) = names;
    bail!(
        "{first} and {second} do not go together: {field} is {one} in the one, {other} in the other"
    )
}

fn difference(what: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    match (one, other) {
        _ if one == other => None,
        (Value::Object(one), Value::Object(other)) => one.iter().find_map(|(key, value)| {
            let other = other.get(key).unwrap_or(&Value::Null);
            difference(key, value, other)
        }),
        _ => Some((what.to_owned(), one.to_string(), other.to_string())),
    }
}

/// What is kept of a report that was merged.
fn kept(
    file: &str,
    started_at: &str,
    took_s: f64,
    command: &[String],
    environment: &Environment,
) -> Merged {
    Merged {
        file: file.to_owned(),
        command: command.to_vec(),
        started_at: started_at.to_owned(),
        took_s,
        environment: environment.clone(),
    }
}

/// The warnings of all reports, each with its file, and one where runs did not overlap.
fn warnings<'a>(parts: impl Iterator<Item = (&'a str, &'a [String])>) -> Vec<String> {
    let all = parts.flat_map(|(file, warnings)| {
        warnings
            .iter()
            .map(move |warning| format!("{file}: {warning}"))
    });
    all.collect()
}

/// A warning when the runs of `merged` did not all run at some moment.
fn apart(merged: &[Merged]) -> Option<String> {
    let times = merged.iter().map(|part| {
        let start = humantime::parse_rfc3339(&part.started_at).context("started_at")?;
        let end = start.checked_add(std::time::Duration::try_from_secs_f64(part.took_s)?);
        Ok((start, end.context("took_s")?))
    });
    let times: anyhow::Result<Vec<_>> = times.collect();
    let overlap = times.ok().and_then(|times| {
        let last = times.iter().map(|(start, _)| *start).max()?;
        let first = times.iter().map(|(_, end)| *end).min()?;
        Some(last <= first)
    });
    match overlap {
        Some(true) => None,
        Some(false) => Some(
            "the runs did not all run at the same time: their rates are no sum (see --start-at)"
                .to_owned(),
        ),
        None => Some("it is not known whether the runs ran at the same time".to_owned()),
    }
}

#[cfg(test)]
mod tests;
