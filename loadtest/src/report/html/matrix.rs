//! All scenarios and all targets in one view: a cell for each ratio.

use maud::{Markup, html};

use super::scenario::{CPU, Judged, judged, ratio};
use crate::report::{Estimate, Measured, Row, Scenario};

/// How each target stands against `base` in each scenario, by speed and by CPU.
pub(super) fn section(report: &Measured, base: &str) -> Markup {
    html! {
        section {
            h2 { "At a glance" }
            p.hint {
                "Each figure is the target's as a multiple of " (base) "'s. "
                span.key.ahead { "better for " (base) } " "
                span.key.behind { "worse for " (base) }
                " — where the 95 % interval leaves out 1; the rest is not coloured."
            }
            (table("Speed", report, base, judged))
            (table("CPU of the proxy", report, base, |_| CPU))
        }
    }
}

fn table(title: &str, report: &Measured, base: &str, by: impl Fn(&Scenario) -> Judged) -> Markup {
    let targets: Vec<&str> = report.scenarios.first().map_or_else(Vec::new, |scenario| {
        let rows = scenario.rows.iter().map(|row| row.target.as_str());
        rows.filter(|target| *target != base).collect()
    });
    let scenarios = report.scenarios.iter();
    let scenarios = scenarios.filter(|scenario| scenario.unit != "idle connection");
    html! {
        div.wide {
            table.matrix {
                caption { (title) }
                thead {
                    tr {
                        th scope="col" { "scenario" }
                        @for target in &targets { th.number scope="col" { (target) } }
                    }
                }
                tbody {
                    @for scenario in scenarios {
                        @let judged = by(scenario);
                        tr {
                            th scope="row" { (scenario.name) " " span.what { (judged.name) } }
                            @for target in &targets {
                                @let row = scenario.rows.iter().find(|row| row.target == *target);
                                (cell(row, base, judged))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(row: Option<&Row>, base: &str, judged: Judged) -> Markup {
    let ratio = row.and_then(|row| ratio(row, base, judged.metric));
    let failed = row.is_some_and(|row| row.errors > 0);
    html! {
        @match ratio {
            Some(ratio) => {
                @let ahead = base_is_ahead(&ratio, judged.more_is_better);
                td.number.ahead[ahead == Some(true)].behind[ahead == Some(false)] {
                    (format!("{:.2}", ratio.median))
                }
            }
            None if failed => td.number { "failed" },
            None => td.number { "–" },
        }
    }
}

/// Whether the base is better than who has this ratio to it; `None` where that is not sure.
fn base_is_ahead(ratio: &Estimate, more_is_better: bool) -> Option<bool> {
    match (ratio.low?, ratio.high?) {
        (low, _) if low > 1.0 => Some(!more_is_better),
        (_, high) if high < 1.0 => Some(more_is_better),
        _ => None,
    }
}
