//! The figures of `soak`.

use super::{Figure, Rows};
use crate::report::SoakReport;

/// Writes them.
pub(super) fn write(report: &SoakReport, rows: &mut Rows) -> Result<(), ::csv::Error> {
    let figure = |metric, unit| Figure {
        scenario: "soak",
        target: "proxy",
        metric,
        base: "",
        unit,
    };
    for (metric, unit, value) in [
        ("connections", "connections", report.connections),
        ("half_closed", "connections", report.half_closed),
        ("reset", "connections", report.reset),
        ("slow", "connections", report.slow),
        ("resets_as_fin", "connections", report.resets_as_fin),
        ("checked", "bytes", report.checked_bytes),
        ("mismatches", "1", u64::from(report.mismatch.is_some())),
    ] {
        rows.push(figure(metric, unit), Some(value))?;
    }
    for held in &report.held {
        for (period, &sample) in held.samples.iter().enumerate() {
            let figure = Figure {
                scenario: &format!("after period {}", period + 1),
                ..figure(&held.what, "1")
            };
            rows.push(figure, Some(sample))?;
        }
    }
    Ok(())
}
