//! Medians with their intervals, each on a strip; the strips of a table share an axis.
//!
//! A picture within a row: the same figures stand beside it as text, so it is hidden from screen
//! readers.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::scale::Scale;

/// What is drawn on a strip.
#[derive(Clone, Debug, Default)]
pub(super) struct Strip<'a> {
    /// Which series, for its colour.
    pub(super) series: usize,
    /// Where the median is.
    pub(super) median: f64,
    /// The 95 % interval of it.
    pub(super) interval: Option<(f64, f64)>,
    /// The interval of the noise.
    pub(super) noise: Option<(f64, f64)>,
    /// The rounds' own values.
    pub(super) rounds: &'a [f64],
}

const WIDTH: f64 = 1_000.0; // of the drawing, which is stretched to the room there is
const HEIGHT: f64 = 28.0; // px

impl Strip<'_> {
    /// On an axis of which `neutral` means no difference.
    pub(super) fn draw(&self, scale: Scale, neutral: f64) -> Markup {
        let x = |value: f64| scale.at(value).clamp(0.0, 1.0) * WIDTH;
        let is_off = !(0.0..=1.0).contains(&scale.at(self.median));
        html! {
            svg.strip aria-hidden="true" focusable="false" width="100%" height=(HEIGHT) {
                svg width="100%" height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}"))
                    preserveAspectRatio="none" {
                    @if let Some((low, high)) = self.noise {
                        rect.noise x=(px(x(low))) y="0" height=(HEIGHT)
                            width=(px((x(high) - x(low)).max(1.0))) {}
                    }
                    @for tick in scale.ticks(TICKS) {
                        (upright("grid", x(tick)))
                    }
                    (upright("neutral", x(neutral)))
                    path class={ "rounds s" (self.series) } d=(self.rounds(scale)) {}
                    @if let Some((low, high)) = self.interval {
                        path class={ "interval s" (self.series) }
                            d=(format!("M{} {}H{}", px(x(low)), HEIGHT / 2.0, px(x(high)))) {}
                    }
                    @if !is_off {
                        // A line without length and with round ends: a dot that is not stretched.
                        path class={ "median s" (self.series) }
                            d=(format!("M{} {}h0", px(x(self.median)), HEIGHT / 2.0)) {}
                    }
                }
            }
        }
    }

    /// A dot for each round that lies on the axis, at most some hundred of them.
    fn rounds(&self, scale: Scale) -> String {
        const MOST: usize = 300;
        let every = self.rounds.len().div_ceil(MOST).max(1);
        let mut path = String::new();
        for (place, value) in self.rounds.iter().step_by(every).enumerate() {
            let at = scale.at(*value);
            if (0.0..=1.0).contains(&at) {
                // Spread over the height in a fixed order, so that they do not hide each other.
                let y = 4.0 + (place * 7 % 20) as f64;
                write!(path, "M{} {y}h0", px(at * WIDTH)).ok(); // to a String
            }
        }
        path
    }
}

const TICKS: usize = 5;

/// The axis that belongs below a column of strips, with some `ticks` labels.
pub(super) fn axis(scale: Scale, ticks: usize, label: impl Fn(f64) -> String) -> Markup {
    html! {
        svg.axis aria-hidden="true" focusable="false" width="100%" height="18" {
            @for tick in scale.ticks(ticks) {
                @let at = scale.at(tick);
                @let anchor = if at < 0.06 { "start" } else if at > 0.94 { "end" } else { "middle" };
                text x=(format!("{:.2}%", at * 100.0)) y="13" text-anchor=(anchor) { (label(tick)) }
            }
        }
    }
}

fn upright(class: &str, x: f64) -> Markup {
    html! { path class=(class) d=(format!("M{} 0V{HEIGHT}", px(x))) {} }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
