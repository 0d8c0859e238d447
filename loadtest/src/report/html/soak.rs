//! The page of `soak`.

use maud::{Markup, html};

use super::Page;
use super::bar::bar;
use super::parts::{self, Card, cards, environment, facts, listing, notices, thousands};
use crate::report::{Flat, SoakReport};
use crate::units::{bytes, short};

/// Its page.
pub(super) fn page(report: &SoakReport) -> Page {
    Page {
        title: "Does every byte arrive?".to_owned(),
        lede: html! {
            "Once, in order, and where it belongs: " (thousands(report.connections))
            " connections of all kinds, " (report.concurrency) " at a time, for " (short(report.took_s))
            " s from " time { (report.started_at) } "."
        },
        content: html! {
            (cards(&in_short(report)))
            @if let Some(mismatch) = &report.mismatch {
                (notices("The first thing that was wrong", "bad", &[
                    mismatch.to_string(),
                    format!("To repeat the connection: --seed {} --first {} --connections 1",
                        report.seed, mismatch.connection),
                ]))
            }
            (notices("To know besides", "warn", &report.warnings))
            (held(report))
            section {
                h2 { "How it was done" }
                (facts(&[
                    ("half-closed", thousands(report.half_closed)),
                    ("reset", thousands(report.reset)),
                    ("of these told as FIN", thousands(report.resets_as_fin)),
                    ("with a slow reader", thousands(report.slow)),
                    ("seed", report.seed.to_string()),
                    ("first connection", report.first.to_string()),
                ]))
                (environment(&report.environment))
                (listing("The run", &parts::shell(&report.command)))
                (listing("The proxy", &report.proxy))
            }
        },
    }
}

fn in_short(report: &SoakReport) -> Vec<Card> {
    let is_flat = report.held.iter().all(|held| held.is_flat);
    vec![
        Card {
            label: "Bytes".to_owned(),
            value: match report.mismatch {
                None => "0 mismatches".to_owned(),
                Some(_) => "a mismatch".to_owned(),
            },
            note: format!("{} checked", bytes(report.checked_bytes)),
            is_good: Some(report.mismatch.is_none() && report.connections > 0),
        },
        Card {
            label: "Files, pipes and memory".to_owned(),
            value: match (report.held.is_empty(), is_flat) {
                (true, _) => "unknown".to_owned(),
                (_, true) => "flat".to_owned(),
                (_, false) => "growing".to_owned(),
            },
            note: match report.held.is_empty() {
                true => "name the proxy's process with --pid".to_owned(),
                false => "of the proxy, with no connection open".to_owned(),
            },
            is_good: (!report.held.is_empty()).then_some(is_flat),
        },
        Card::plain(
            "Connections",
            thousands(report.connections),
            format!(
                "{} half-closed, {} reset",
                thousands(report.half_closed),
                thousands(report.reset)
            ),
        ),
    ]
}

/// What the proxy held after each period: the later half may not be above the earlier one.
fn held(report: &SoakReport) -> Markup {
    html! {
        @if !report.held.is_empty() {
            section {
                h2 { "What the proxy held" }
                p.hint {
                    "At the end of each period, with no connection open. It grows when the most of \
                     the later half is above the most of the earlier half by more than a pool or an \
                     allocator may keep."
                }
                div.panels {
                    @for held in &report.held { (panel(held)) }
                }
            }
        }
    }
}

fn panel(held: &Flat) -> Markup {
    let most = held.samples.iter().max().copied().unwrap_or(0) as f64;
    let show = |sample: u64| match held.what.as_str() {
        "resident bytes" => bytes(sample),
        _ => thousands(sample),
    };
    html! {
        div.panel {
            h3 {
                (held.what) " "
                @match held.is_flat {
                    true => span.tag.good { "flat" },
                    false => span.tag.bad { "grows" },
                }
            }
            table.bars {
                thead.away { tr {
                    th scope="col" { "period" } th.picture {} th.number scope="col" { "held" }
                } }
                tbody {
                    @for (place, &sample) in held.samples.iter().enumerate() {
                        tr {
                            th scope="row" { (place + 1) }
                            td.picture { (bar(2, Some(sample as f64), None, most)) }
                            td.number { (show(sample)) }
                        }
                    }
                }
            }
            p.hint { "At most " (show(held.most_more)) " more may be held later." }
        }
    }
}
