//! The page of `overhead`.

mod added;
mod resources;

use maud::{Markup, html};

use super::Page;
use super::curves::{self, Curve};
use super::parts::{self, Card, cards, environment, facts, legend, listing, notices, thousands};
use crate::report::{KindReport, Report};
use crate::units::{bytes, short, signed_span, span};

/// The series of the direct calls, of the null run, and of the first proxy.
const DIRECT: usize = 0;
const NULL: usize = 1;
const FIRST: usize = 2;

/// Its page.
pub(super) fn page(report: &Report) -> Page {
    let names = names(report);
    let settings = &report.settings;
    let backend = match settings.backend.as_str() {
        "stand-in" => "the live-store stand-in",
        _ => settings.direct.as_str(),
    };
    Page {
        title: format!("What a read costs through {}", list(&names)),
        lede: html! {
            "The same calls of a querier to " (backend) ", directly and through each proxy, in turns. "
            (thousands(report.totals.requests)) " calls in " (short(report.measured_s)) " s and "
            (thousands(report.rounds)) " rounds, from " time { (report.started_at) } "."
        },
        content: html! {
            (cards(&in_short(report, &names)))
            (notices("Failed", "bad", &failed(report)))
            (notices("Before you trust the figures", "warn", &warnings(report)))
            (added::section(report))
            (added::tails(report))
            (percentiles(report, &names))
            (resources::section(report))
            (about(report))
        },
    }
}

/// The proxies' names, as the kinds have them.
fn names(report: &Report) -> Vec<String> {
    let through = report.kinds.first().map(|kind| &kind.through);
    let names = through.into_iter().flatten();
    names.map(|through| through.proxy.clone()).collect()
}

/// `a`, `a and b`, or `a, b and c`.
fn list(names: &[String]) -> String {
    match names {
        [] => "a proxy".to_owned(),
        [one] => one.clone(),
        [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
    }
}

fn in_short(report: &Report, names: &[String]) -> Vec<Card> {
    let totals = &report.totals;
    let mut all = vec![Card {
        label: "Answers".to_owned(),
        value: match (totals.errors, totals.different) {
            (0, 0) => "all identical".to_owned(),
            (0, different) => format!("{} differ", thousands(different)),
            (errors, _) => format!("{} wrong", thousands(errors)),
        },
        note: format!("{} compared byte for byte", bytes(totals.compared_bytes)),
        is_good: Some(totals.errors == 0 && totals.requests > 0),
    }];
    if let Some(name) = names.first() {
        all.push(headline(report, name));
    }
    for proxy in report.proxies.iter().take(1) {
        all.push(Card::plain(
            "CPU of a call",
            span(proxy.cpu_us_per_request * 1e3),
            format!("of {} itself", proxy.name),
        ));
        all.push(Card::plain(
            "Memory",
            bytes(proxy.peak_rss_bytes),
            format!("of {} at its peak", proxy.name),
        ));
    }
    all
}

/// What the first proxy adds, over all kinds of call.
fn headline(report: &Report, name: &str) -> Card {
    let through = |kind: &KindReport| kind.through.first().and_then(|t| t.added.clone());
    let clear = report.kinds.iter().filter(|kind| {
        let through = kind.through.first();
        through.and_then(|through| kind.stands_out(through)) == Some(true)
    });
    let mut added: Vec<f64> = clear.filter_map(through).map(|a| a.median_ns).collect();
    added.sort_unstable_by(f64::total_cmp);
    let all = report.kinds.len();
    Card::plain(
        &format!("Added by {name}"),
        match added.as_slice() {
            [] => "within noise".to_owned(),
            [one] => signed_span(*one),
            [least, .., most] => format!("{} to {}", signed_span(*least), signed_span(*most)),
        },
        format!(
            "{} of {all} kinds of call stand out from the noise",
            added.len()
        ),
    )
}

fn failed(report: &Report) -> Vec<String> {
    let calls = report.failures.iter();
    let calls =
        calls.map(|failure| format!("{} ({}): {}", failure.call, failure.target, failure.what));
    let more = report
        .totals
        .errors
        .saturating_sub(report.failures.len() as u64);
    let more = (more > 0).then(|| format!("and {} more", thousands(more)));
    let conditions = report.failed_if.iter();
    let conditions = conditions.map(|condition| format!("--fail-if: {condition}"));
    conditions.chain(calls).chain(more).collect()
}

fn warnings(report: &Report) -> Vec<String> {
    report.warnings.iter().map(ToString::to_string).collect()
}

fn percentiles(report: &Report, names: &[String]) -> Markup {
    let is_open = report.settings.mode == "open";
    let own = [(DIRECT, "direct"), (NULL, "direct again (null run)")];
    let own = own.map(|(series, name)| (series, name.to_owned()));
    let proxies = names.iter().enumerate();
    let proxies = proxies.map(|(place, name)| (FIRST + place, name.clone()));
    let all: Vec<(usize, String)> = own.into_iter().chain(proxies).collect();
    html! {
        section {
            h2 { "Latency by percentile" }
            p.hint {
                "The further right, the rarer: each step is a nine more. Both axes are logarithmic. "
                @if is_open {
                    "Response times, from the moment at which a call should have begun; thin and \
                     dotted: service times, from when it did begin. Where they part, calls waited."
                }
            }
            (legend(&all))
            div.panels {
                @for kind in &report.kinds {
                    (curves::figure(&kind.kind, &curves(kind)))
                }
            }
        }
    }
}

fn curves(kind: &KindReport) -> Vec<Curve<'_>> {
    let own = [("direct", &kind.direct), ("null", &kind.null)];
    let through = kind.through.iter();
    let through = through.map(|through| (through.proxy.as_str(), &through.calls));
    let targets = own.into_iter().chain(through).enumerate();
    let curves = targets.flat_map(|(series, (name, calls))| {
        let curve = |name: String, latency| Curve {
            name,
            series,
            is_service: false,
            latency,
        };
        let service = calls.service.as_ref();
        let service = service.map(|service| Curve {
            is_service: true,
            ..curve(format!("{name}, service"), service)
        });
        [Some(curve(name.to_owned(), &calls.latency)), service]
    });
    curves.flatten().collect()
}

fn about(report: &Report) -> Markup {
    let settings = &report.settings;
    let sizes = settings.sizes.iter().map(|size| crate::units::size(*size));
    html! {
        section {
            h2 { "How it was measured" }
            (facts(&[
                ("load", match settings.rate_per_s {
                    Some(rate) => format!("open loop, {rate} calls/s to each target"),
                    None => format!("{} loop", settings.mode),
                }),
                ("calls", settings.mix.join(", ")),
                ("sizes", sizes.collect::<Vec<_>>().join(", ")),
                ("connections to each target", settings.connections.to_string()),
                ("streams on each at most", settings.streams.to_string()),
                ("compression", settings.compression.clone()),
                ("TLS", settings.tls.clone()),
                ("tenant", settings.tenant.clone()),
                ("seed", settings.seed.to_string()),
                ("direct", settings.direct.clone()),
                ("through", settings.via.join(", ")),
                ("client's load", format!("{:.0} % of its threads' time", report.client_load * 100.0)),
            ]))
            @if report.merged.is_empty() { (environment(&report.environment)) }
            (listing("The run", &parts::shell(&report.command)))
            (parts::merged(&report.merged))
            @for proxy in &report.proxies {
                (listing(&proxy.name, &proxy.command))
            }
        }
    }
}
