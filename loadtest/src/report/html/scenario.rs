//! One load on all targets: a table with a picture in each row.

use maud::{Markup, html};

use super::bar::{bar, most};
use super::curves::{self, Curve};
use super::scale::Scale;
use super::strip::{self, Strip};
use crate::report::{Estimate, Row, Scenario};
use crate::units::{short, span};

/// The figure that a scenario is judged by: its name in a row's comparisons, what to call it, and
/// whether more is better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// As [`Row::against`] knows it.
    pub(super) metric: &'static str,
    /// As people call it.
    pub(super) name: &'static str,
    /// Whether more is better.
    pub(super) more_is_better: bool,
}

/// CPU time of the proxy itself.
pub(super) const CPU: Judged = Judged {
    metric: "cpu_s",
    name: "CPU",
    more_is_better: false,
};

/// What is done as often as possible is judged by its rate, what is waited for by its time.
pub(super) fn judged(scenario: &Scenario) -> Judged {
    match scenario.unit.as_str() {
        "request" => Judged {
            metric: "p50_ns",
            name: "p50",
            more_is_better: false,
        },
        _ => Judged {
            metric: "rate",
            name: "rate",
            more_is_better: true,
        },
    }
}

/// The ratios of `row` to `base`, who itself is 1.
pub(super) fn ratio(row: &Row, base: &str, metric: &str) -> Option<Estimate> {
    match row.target == base {
        true => Some(Estimate {
            median: 1.0,
            ..Estimate::default()
        }),
        false => row.against(base, metric).cloned(),
    }
}

/// The section of `scenario`, all set against `base`.
pub(super) fn section(scenario: &Scenario, base: &str) -> Markup {
    html! {
        section.scenario {
            h3 { (scenario.name) }
            @if scenario.unit == "idle connection" {
                (idle(scenario))
            } @else {
                (load(scenario, base))
            }
            @for row in scenario.rows.iter().filter(|row| row.failure.is_some()) {
                p.failure {
                    strong { (row.target) } " failed in " (row.errors) " rounds: "
                    (row.failure.as_deref().unwrap_or_default())
                }
            }
        }
    }
}

/// The series of the target at `place`: the direct one is the first, the second is that of a null
/// run, which is not here.
pub(super) fn series(place: usize) -> usize {
    match place {
        0 => 0,
        _ => place + 1,
    }
}

/// The latencies of all targets.
pub(super) fn curves(scenario: &Scenario) -> Markup {
    let rows = scenario.rows.iter().enumerate();
    let curves = rows.map(|(place, row)| Curve {
        name: row.target.clone(),
        series: series(place),
        is_service: false,
        latency: &row.latency,
    });
    curves::figure(&scenario.name, &curves.collect::<Vec<_>>())
}

fn load(scenario: &Scenario, base: &str) -> Markup {
    // Ratios beyond are at the edge; intervals may be so wide that nothing else had any room.
    const MOST: f64 = 32.0;
    const MOST_INTERVAL: f64 = 6.0;
    let judged = judged(scenario);
    let ends = scenario.rows.iter().flat_map(|row| {
        [judged.metric, CPU.metric]
            .into_iter()
            .filter_map(|metric| ratio(row, base, metric))
            .flat_map(|ratio| {
                let low = ratio.low.map(|low| low.max(1.0 / MOST_INTERVAL));
                let high = ratio.high.map(|high| high.min(MOST_INTERVAL));
                [Some(ratio.median), low, high]
            })
            .flatten()
    });
    let scale = Scale::around_one(ends, MOST);
    let own = |row: &Row| row.cpu_s.as_ref().map(|cpu| cpu.median);
    let whole = |row: &Row| row.machine_cpu_s.as_ref().map(|cpu| cpu.median);
    let most_cpu = most(scenario.rows.iter().map(whole));
    let better = if judged.more_is_better {
        "higher"
    } else {
        "lower"
    };
    html! {
        table.ratios {
            thead {
                tr {
                    th scope="col" { "target" }
                    th.number scope="col" { (scenario.unit) "s/s" }
                    th.picture aria-hidden="true" { (judged.name) " ratio, " (better) " is better" }
                    th.number scope="col" { "ratio [95 % interval]" }
                    th.picture aria-hidden="true" { "CPU: proxy, machine" }
                    th.number scope="col" { "CPU/" (scenario.unit) }
                    th.number scope="col" { "CPU ratio" }
                }
            }
            tbody {
                @for (place, row) in scenario.rows.iter().enumerate() {
                    @let compared = ratio(row, base, judged.metric);
                    tr.base[row.target == base] {
                        th scope="row" { (row.target) }
                        td.number data-label="rate" {
                            (row.rate.as_ref().map_or_else(dash, |rate| short(rate.median)))
                        }
                        td.picture data-label={ (judged.name) " ratio" } {
                            @if let Some(ratio) = &compared {
                                (Strip {
                                    series: series(place),
                                    median: ratio.median,
                                    interval: ratio.low.zip(ratio.high),
                                    noise: None,
                                    rounds: &ratio.values,
                                }.draw(scale, 1.0))
                            }
                        }
                        td.number data-label=(judged.name) { (times(compared.as_ref())) }
                        td.picture data-label="CPU: proxy, machine" { (bar(series(place), own(row), whole(row), most_cpu)) }
                        td.number data-label="CPU" { (own(row).map_or_else(dash, |s| span(s * 1e9))) }
                        td.number data-label="CPU ratio" {
                            (times(ratio(row, base, CPU.metric).as_ref()))
                        }
                    }
                }
            }
            tfoot aria-hidden="true" {
                tr {
                    td {} td {}
                    td.picture { (strip::axis(scale, 3, |tick| format!("{}×", (tick * 1e3).round() / 1e3))) }
                    td {} td {} td {} td {}
                }
            }
        }
    }
}

fn idle(scenario: &Scenario) -> Markup {
    let used = |row: &Row| row.idle.as_ref().map(|idle| idle.used_bytes.median);
    let untouched = |row: &Row| row.idle.as_ref().map(|idle| idle.untouched_bytes.median);
    let all = most(scenario.rows.iter().map(used));
    let rows = scenario.rows.iter().enumerate();
    let rows = rows.filter(|(_, row)| row.idle.is_some());
    html! {
        table.bars {
            thead {
                tr {
                    th scope="col" { "target" }
                    th.picture aria-hidden="true" { "untouched, after traffic" }
                    th.number scope="col" { "bytes of each: untouched / after traffic" }
                    th.number scope="col" { "files of each" }
                }
            }
            tbody {
                @for (place, row) in rows {
                    @let files = row.idle.as_ref().and_then(|idle| idle.fds.as_ref());
                    tr {
                        th scope="row" { (row.target) }
                        td.picture { (bar(series(place), untouched(row), used(row), all)) }
                        td.number {
                            strong { (untouched(row).map_or_else(dash, short)) }
                            " / " (used(row).map_or_else(dash, short))
                        }
                        td.number data-label="files" { (files.map_or_else(dash, |files| short(files.median))) }
                    }
                }
            }
        }
    }
}

/// A ratio with its interval.
fn times(ratio: Option<&Estimate>) -> Markup {
    html! {
        @match ratio {
            None => "–",
            Some(ratio) => {
                strong { (format!("{:.2}×", ratio.median)) }
                @if let (Some(low), Some(high)) = (ratio.low, ratio.high) {
                    " " span.interval { (format!("[{low:.2}, {high:.2}]")) }
                }
            }
        }
    }
}

fn dash() -> String {
    "–".to_owned()
}
