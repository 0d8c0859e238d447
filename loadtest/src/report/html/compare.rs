//! The page of `compare`, and of `throughput`, `latency` and `connections`, which have scenarios
//! on targets as well.

use maud::{Markup, html};

use super::parts::{self, Card, cards, environment, facts, legend, listing, notices, thousands};
use super::{Page, matrix, scenario};
use crate::report::{Measured, Row};
use crate::units::{bytes, short};

/// Its page.
pub(super) fn page(report: &Measured) -> Page {
    let base = base(report);
    let title = match report.kind.as_str() {
        "throughput" => "Bulk over plain TCP",
        "latency" => "Requests and responses over plain TCP",
        "connections" => "Connections over plain TCP",
        _ => "portamento and its peers",
    };
    Page {
        title: title.to_owned(),
        lede: html! {
            "Every target in turns, compared with " (base) " round by round. " (report.rounds)
            " rounds, " (format!("{:.0}", report.slice_s * 1e3)) " ms for each scenario and target, "
            (short(report.took_s)) " s in all, from " time { (report.started_at) } "."
        },
        content: html! {
            (cards(&in_short(report)))
            (notices("Failed: --fail-if", "bad", &report.failed_if))
            (notices("Before you trust the figures", "warn", &warnings(report)))
            @if report.kind == "compare" { (matrix::section(report, base)) }
            section {
                h2 { "Scenarios" }
                p.hint {
                    "Dot: the median of the rounds' ratios; line: its 95 % interval; faint dots: \
                     single rounds. The scale is logarithmic: twice and half are as far from 1."
                }
                (legend(&names(report)))
                @for scenario in &report.scenarios { (scenario::section(scenario, base)) }
            }
            (percentiles(report))
            (about(report))
        },
    }
}

/// What all are set against.
fn base(report: &Measured) -> &str {
    match report.kind.as_str() {
        "compare" => "portamento",
        _ => report
            .targets
            .first()
            .map_or("direct", |target| &target.name),
    }
}

fn names(report: &Measured) -> Vec<(usize, String)> {
    let rows = report
        .scenarios
        .iter()
        .map(|scenario| &scenario.rows)
        .next();
    let names = rows.into_iter().flatten().map(|row| row.target.clone());
    let names = names.enumerate();
    names
        .map(|(place, name)| (scenario::series(place), name))
        .collect()
}

fn percentiles(report: &Measured) -> Markup {
    let scenarios = || {
        let scenarios = report.scenarios.iter();
        scenarios.filter(|scenario| scenario.rows.iter().any(|row| row.latency.count() > 0))
    };
    html! {
        @if scenarios().next().is_some() {
            section {
                h2 { "Latency by percentile" }
                p.hint {
                    "All rounds together. The further right, the rarer: each step is a nine more. \
                     Both axes are logarithmic."
                }
                (legend(&names(report)))
                div.panels { @for scenario in scenarios() { (scenario::curves(scenario)) } }
            }
        }
    }
}

fn in_short(report: &Measured) -> Vec<Card> {
    let rows = || report.scenarios.iter().flat_map(|scenario| &scenario.rows);
    let failed: usize = rows().map(|row| row.errors).sum();
    let sum = |of: fn(&Row) -> u64| rows().map(of).sum::<u64>();
    let (sent, answers) = (sum(|row| row.bytes), sum(|row| row.operations));
    let mut all = vec![Card {
        label: "Checked".to_owned(),
        value: match failed {
            0 => "all correct".to_owned(),
            failed => format!("{failed} turns failed"),
        },
        note: format!("{} of bulk, {} answers", bytes(sent), thousands(answers)),
        is_good: Some(failed == 0 || report.is_clean()),
    }];
    if let Some(control) = &report.control {
        let ratio = &control.ratio;
        let interval = ratio.low.zip(ratio.high);
        all.push(Card {
            label: format!("Control: {} against itself", control.base),
            value: format!("{:.3}×", ratio.median),
            note: match (interval, ratio.covers(1.0)) {
                (Some((low, high)), Some(true)) => format!("[{low:.3}, {high:.3}] holds 1, as it should"),
                (Some((low, high)), _) => {
                    format!("[{low:.3}, {high:.3}] does not hold 1: no trust in differences of this size")
                }
                _ => "too few rounds for an interval".to_owned(),
            },
            is_good: ratio.covers(1.0),
        });
    }
    let measured = report
        .targets
        .iter()
        .filter(|target| target.missing.is_none());
    all.push(Card::plain(
        "Targets",
        measured.count().to_string(),
        format!("in {} scenarios", report.scenarios.len()),
    ));
    all
}

fn warnings(report: &Measured) -> Vec<String> {
    report.warnings.iter().map(ToString::to_string).collect()
}

fn about(report: &Measured) -> Markup {
    let missing = report.targets.iter();
    let missing = missing.filter_map(|target| Some((&target.name, target.missing.as_ref()?)));
    html! {
        section {
            h2 { "How it was measured" }
            (facts(&[
                ("backend", report.backend.clone()),
                ("rounds", report.rounds.to_string()),
                ("client threads at most", report.client_threads.to_string()),
                ("system calls", report.syscalls_unavailable.as_ref().map_or_else(String::new, |why| {
                    format!("not counted, for {why}")
                })),
            ]))
            @if report.merged.is_empty() { (environment(&report.environment)) }
            @for (name, why) in missing {
                p.hint { (name) " was not measured: " (why) "." }
            }
            (listing("The run", &parts::shell(&report.command)))
            (parts::merged(&report.merged))
            @for target in report.targets.iter().filter(|target| target.missing.is_none()) {
                @if let Some(command) = &target.command {
                    details {
                        summary {
                            (target.name)
                            @if let Some(version) = &target.version { " · " (version) }
                        }
                        (listing("Started by", command))
                        @if let Some(config) = &target.config { (listing("Configuration", config)) }
                    }
                }
            }
        }
    }
}
