//! What each proxy adds to the median of each kind of call.

use maud::{Markup, html};

use super::FIRST;
use crate::report::html::scale::Scale;
use crate::report::html::strip::{self, Strip};
use crate::report::{Difference, KindReport, Report, Tail, TailDifference, ThroughReport};
use crate::units::signed_span;

/// A difference as a share of the direct median, percent.
fn share(of: f64, kind: &KindReport) -> f64 {
    of / kind.direct.latency.p50_ns.map_or(f64::NAN, |ns| ns as f64) * 100.0
}

/// A difference in percent, with its sign.
fn percent(value: f64) -> String {
    match value {
        0.0 => "0\u{a0}%".to_owned(),
        n if n < 0.0 => format!("\u{2212}{}\u{a0}%", -n),
        n => format!("+{n}\u{a0}%"),
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A table with a strip for each kind and proxy.
pub(super) fn section(report: &Report) -> Markup {
    const MOST: f64 = 150.0; // percent; what is beyond tells only that there is noise
    let ends = report.kinds.iter().flat_map(|kind| {
        let added = kind
            .through
            .iter()
            .filter_map(|through| through.added.as_ref());
        let all = added.chain(&kind.noise);
        all.flat_map(|added| [share(added.low_ns, kind), share(added.high_ns, kind)])
    });
    let scale = Scale::around_zero(ends, MOST);
    html! {
        section {
            h2 { "Added to the median" }
            p.hint {
                "Round by round: the median through the proxy less the direct one. The dot is the \
                 median of the rounds' differences, the line its 95 % interval, the faint dots are \
                 single rounds. The grey band is the noise: the same interval for direct against \
                 direct. ~ does not stand out from it. Scale: percent of the direct median."
            }
            table.strips {
                thead {
                    tr {
                        th scope="col" { "call" }
                        th scope="col" { "through" }
                        th.picture aria-hidden="true" { "percent of direct" }
                        th.number scope="col" { "added [95 % interval]" }
                        th.number scope="col" { "of direct" }
                        th.number scope="col" { "noise" }
                    }
                }
                tbody {
                    @for kind in &report.kinds {
                        @for (place, through) in kind.through.iter().enumerate() {
                            (added_row(kind, place, through, scale))
                        }
                    }
                }
                tfoot aria-hidden="true" {
                    tr {
                        td {} td {}
                        td.picture { (strip::axis(scale, 5, percent)) }
                        td {} td {} td {}
                    }
                }
            }
        }
    }
}

fn added_row(kind: &KindReport, place: usize, through: &ThroughReport, scale: Scale) -> Markup {
    let shares = |difference: &Difference| {
        let ends = [difference.low_ns, difference.high_ns];
        let [low, high] = ends.map(|end| share(end, kind));
        (low, high)
    };
    let noise = kind.noise.as_ref();
    let is_clear = kind.stands_out(through) == Some(true);
    html! {
        tr.unclear[!is_clear].again[place > 0] {
            th scope="row" { (kind.kind) }
            td.through { (through.proxy) }
            td.picture {
                @if let Some(added) = &through.added {
                    @let rounds = added.values_ns.iter().map(|ns| share(*ns, kind)).collect::<Vec<_>>();
                    (Strip {
                        series: FIRST + place,
                        median: share(added.median_ns, kind),
                        interval: Some(shares(added)),
                        noise: noise.map(shares),
                        rounds: &rounds,
                    }.draw(scale, 0.0))
                }
            }
            @match &through.added {
                Some(added) => {
                    td.number {
                        @if !is_clear { span title="does not stand out from the noise" { "~ " } }
                        strong { (signed_span(added.median_ns)) }
                        " " span.interval {
                            "[" (signed_span(added.low_ns)) ", " (signed_span(added.high_ns)) "]"
                        }
                    }
                    td.number { (percent(tenths(share(added.median_ns, kind)))) }
                }
                None => {
                    td.number { span.tag { "too few rounds" } }
                    td.number { "–" }
                }
            }
            td.number data-label="noise" {
                (noise.map_or_else(|| "–".to_owned(), |noise| signed_span(noise.median_ns)))
            }
        }
    }
}

/// A table of what each proxy adds to the slow calls; nothing where none had enough of them.
pub(super) fn tails(report: &Report) -> Markup {
    let rows = || {
        let kinds = report.kinds.iter();
        let rows = kinds.flat_map(|kind| kind.through.iter().map(move |through| (kind, through)));
        rows.filter(|(_, through)| through.added_tail != Tail::default())
    };
    html! {
        @if rows().next().is_some() {
            section {
                h2 { "Added to the slow calls" }
                p.hint {
                    "A percentile through the proxy less the same percentile direct, with its 95 % \
                     interval from drawing whole rounds anew. Faint where the interval holds 0."
                }
                div.wide {
                    table.figures {
                        thead {
                            tr {
                                th scope="col" { "call" }
                                th scope="col" { "through" }
                                @for name in ["p90", "p99", "p99.9"] { th.number scope="col" { (name) } }
                            }
                        }
                        tbody {
                            @for (kind, through) in rows() {
                                @let Tail { p90, p99, p999 } = &through.added_tail;
                                tr {
                                    th scope="row" { (kind.kind) }
                                    td.through { (through.proxy) }
                                    @for difference in [p90, p99, p999] { (tail(difference.as_ref())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tail(difference: Option<&TailDifference>) -> Markup {
    html! {
        @match difference {
            None => td.number { "–" },
            Some(TailDifference { difference_ns, low_ns, high_ns }) => {
                td.number.unclear[*low_ns <= 0.0 && *high_ns >= 0.0] {
                    strong { (signed_span(*difference_ns)) }
                    " " span.interval { "[" (signed_span(*low_ns)) ", " (signed_span(*high_ns)) "]" }
                }
            }
        }
    }
}
