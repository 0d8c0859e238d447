//! Latencies by percentile: the further right, the rarer. The axis of percentiles is logarithmic
//! (each nine has the same room), that of latencies too.

use std::f64::consts::LOG10_2;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::scale::Scale;
use crate::report::{Distribution, Latencies};
use crate::units::span;

/// The latencies of one target.
#[derive(Clone, Debug)]
pub(super) struct Curve<'a> {
    /// Its name.
    pub(super) name: String,
    /// Which series, for its colour.
    pub(super) series: usize,
    /// Whether they are service times, which stand beside response times.
    pub(super) is_service: bool,
    /// Its latencies.
    pub(super) latency: &'a Distribution,
}

/// The size of a drawing and the room for its labels, px where it is not scaled.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 392.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 222.0;

/// Points of a curve.
const POINTS: u32 = 140;

/// A figure with `curves`, and their percentiles as a table; nothing when none has latencies.
pub(super) fn figure(title: &str, curves: &[Curve<'_>]) -> Markup {
    let known: Vec<(&Curve<'_>, &Latencies)> = curves
        .iter()
        .filter_map(|curve| Some((curve, curve.latency.histogram.as_ref()?)))
        .collect();
    let ends = known.iter().flat_map(|(_, latencies)| {
        let ends = [latencies.percentile(0.0), latencies.max()];
        ends.map(|end| end.unwrap_or(0) as f64)
    });
    let Some(y) = Scale::log(ends) else {
        return html! {};
    };
    let nines = known.iter().map(|(_, latencies)| nines(latencies));
    let nines = nines.fold(1.0, f64::max);
    html! {
        figure.curves {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label={ (title) ": latency by percentile, as in the table below" } {
                (grid(y, nines))
                @for (curve, latencies) in &known {
                    @let service = if curve.is_service { " service" } else { "" };
                    path class={ "curve s" (curve.series) (service) } d=(path(latencies, y, nines)) {
                        title { (curve.name) }
                    }
                }
            }
            details {
                summary { "As a table" }
                (table(curves))
            }
        }
    }
}

/// How many powers of ten the rarest of so many latencies is away from the whole.
fn nines(latencies: &Latencies) -> f64 {
    (latencies.count() as f64).log10().clamp(1.0, 6.0)
}

fn x(place: f64, nines: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * place / nines
}

fn at(latency: f64, y: Scale) -> f64 {
    BOTTOM - (BOTTOM - TOP) * y.at(latency)
}

fn path(latencies: &Latencies, y: Scale, all: f64) -> String {
    let mut path = String::new();
    let mut last = None;
    for point in 0..=POINTS {
        let place = nines(latencies) * f64::from(point) / f64::from(POINTS);
        let percent = 100.0 * (1.0 - 10_f64.powf(-place));
        let Some(latency) = latencies.percentile(percent) else {
            break;
        };
        let next = (x(place, all), at(latency as f64, y));
        let command = if last.is_some() { 'L' } else { 'M' };
        write!(path, "{command}{:.1} {:.1}", next.0, next.1).ok(); // to a String
        last = Some(next);
    }
    path
}

fn grid(y: Scale, nines: f64) -> Markup {
    const MARKS: [(f64, &str); 7] = [
        (LOG10_2, "50 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99"),
        (5.0, "99.999"),
        (6.0, "99.9999"),
    ];
    html! {
        @for tick in y.ticks(4) {
            @let line = at(tick, y);
            path.grid d=(format!("M{LEFT} {line:.1}H{RIGHT}")) {}
            text x=(LEFT - 6.0) y=(format!("{:.1}", line + 4.0)) text-anchor="end" { (span(tick)) }
        }
        @for (place, label) in MARKS.iter().filter(|(place, _)| *place <= nines + 0.01) {
            @let line = x(*place, nines);
            path.grid d=(format!("M{line:.1} {TOP}V{BOTTOM}")) {}
            text x=(format!("{line:.1}")) y=(BOTTOM + 16.0)
                text-anchor=(if line > RIGHT - 16.0 { "end" } else { "middle" }) { (label) }
        }
        path.frame d=(format!("M{LEFT} {TOP}V{BOTTOM}H{RIGHT}")) {}
    }
}

fn table(curves: &[Curve<'_>]) -> Markup {
    let time = |time: Option<u64>| time.map_or_else(|| "–".to_owned(), |ns| span(ns as f64));
    html! {
        div.wide {
            table.figures {
                thead {
                    tr {
                        th scope="col" { "target" }
                        @for name in ["calls", "p50", "p90", "p99", "p99.9", "max"] {
                            th.number scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for Curve { name, latency, .. } in curves {
                        tr {
                            th scope="row" { (name) }
                            td.number { (latency.count()) }
                            @for ns in [latency.p50_ns, latency.p90_ns, latency.p99_ns,
                                latency.p999_ns, latency.max_ns] {
                                td.number { (time(ns)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
