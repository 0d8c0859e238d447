//! The figures of `throughput`, `latency`, `connections` and `compare` that conditions can be about.

use super::{Condition, Figure, Metric, Quantity};
use crate::report::{Measured, Row};

/// All of them. The ratios are against direct; CPU time has units that differ by scenario, and is
/// better compared between targets of one run.
pub(crate) const MEASURED: &[Metric] = &[
    metric("rate-ratio"),
    metric("p50-ratio"),
    metric("p99-ratio"),
    metric("errors"),
];

const fn metric(name: &'static str) -> Metric {
    Metric {
        name,
        quantity: Quantity::Number,
    }
}

/// What `report` has for `condition`'s metric: of every target but direct, and but for those that
/// are optional.
pub(crate) fn figures(report: &Measured, condition: &Condition) -> Vec<Figure> {
    let is_meant = |row: &&Row| {
        let mut targets = report.targets.iter().skip(1);
        targets.any(|target| target.name == row.target && !target.optional)
    };
    let base = report.targets.first().map_or("", |target| &target.name);
    let scenarios = report.scenarios.iter();
    let rows = scenarios.flat_map(|scenario| {
        let rows = scenario.rows.iter().filter(is_meant);
        rows.filter(|row| row.idle.is_none())
            .map(move |row| (&scenario.name, row))
    });
    let figures = rows.filter_map(|(name, row)| {
        let ratio = match condition.metric() {
            "errors" => {
                return Some(Figure {
                    place: name.clone(),
                    target: row.target.clone(),
                    value: Some(row.errors as f64),
                    interval: None,
                });
            }
            "p50-ratio" | "p99-ratio" if row.latency.p50_ns.is_none() && row.rounds > 0 => {
                return None; // bulk has no latencies
            }
            "p50-ratio" => row.against(base, "p50_ns"),
            "p99-ratio" => row.against(base, "p99_ns"),
            _ => row.against(base, "rate"),
        };
        Some(Figure {
            place: name.clone(),
            target: row.target.clone(),
            // Below six rounds there is no interval, and nothing is sure.
            value: ratio
                .filter(|ratio| ratio.low.is_some())
                .map(|ratio| ratio.median),
            interval: ratio.and_then(|ratio| ratio.low.zip(ratio.high)),
        })
    });
    figures.collect()
}
