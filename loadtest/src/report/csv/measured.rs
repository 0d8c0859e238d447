//! The figures of `throughput`, `latency`, `connections` and `compare`.

use super::{Figure, Rows};
use crate::report::{Measured, Row};

/// Writes them.
pub(super) fn write(report: &Measured, rows: &mut Rows) -> Result<(), ::csv::Error> {
    for scenario in &report.scenarios {
        for row in &scenario.rows {
            let of = Figure {
                scenario: &scenario.name,
                target: &row.target,
                ..Figure::default()
            };
            target(of, &scenario.unit, row, rows)?;
        }
    }
    if let Some(control) = &report.control {
        let figure = Figure {
            scenario: "all",
            target: "control",
            metric: "rate",
            base: &control.base,
            unit: "ratio",
        };
        rows.push(figure, Some(&control.ratio))?;
    }
    Ok(())
}

fn target(of: Figure<'_>, unit: &str, row: &Row, rows: &mut Rows) -> Result<(), ::csv::Error> {
    let (per, rate) = (format!("/{unit}"), format!("{unit}/s"));
    let [cpu, count] = ["s", "1"].map(|what| format!("{what}{per}"));
    let with = |metric, unit| Figure { metric, unit, ..of };
    rows.push(with("errors", "rounds"), Some(row.errors as u64))?;
    rows.push(with("bytes", "bytes"), Some(row.bytes).filter(|&n| n > 0))?;
    rows.push(
        with("operations", "1"),
        Some(row.operations).filter(|&n| n > 0),
    )?;
    rows.push(with("rate", &rate), row.rate.as_ref())?;
    rows.distribution(of, "", &row.latency)?;
    rows.push(with("cpu", &cpu), row.cpu_s.as_ref())?;
    rows.push(with("machine_cpu", &cpu), row.machine_cpu_s.as_ref())?;
    rows.push(with("switches", &count), row.switches.as_ref())?;
    rows.push(with("syscalls", &count), row.syscalls)?;
    rows.push(with("rss", "bytes"), row.rss_bytes)?;
    if let Some(idle) = &row.idle {
        let per_connection = "bytes/connection";
        rows.push(
            with("idle_untouched", per_connection),
            Some(&idle.untouched_bytes),
        )?;
        rows.push(with("idle_used", per_connection), Some(&idle.used_bytes))?;
        rows.push(with("idle_fds", "files/connection"), idle.fds.as_ref())?;
    }
    for comparison in &row.comparisons {
        let metric = comparison
            .metric
            .trim_end_matches("_ns")
            .trim_end_matches("_s");
        let figure = Figure {
            base: &comparison.base,
            ..with(metric, "ratio")
        };
        rows.push(figure, Some(&comparison.ratio))?;
    }
    Ok(())
}
