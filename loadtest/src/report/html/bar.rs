//! Amounts as bars, each beside its figure.

use maud::{Markup, html};

/// A bar for `value`, where `most` fills the room there is. `whole`, a larger amount of which it
/// is a part, lies behind it.
pub(super) fn bar(series: usize, value: Option<f64>, whole: Option<f64>, most: f64) -> Markup {
    let width = |value: f64| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
    };
    html! {
        svg.bar aria-hidden="true" focusable="false" width="100%" height="16" {
            rect.track width="100%" height="16" rx="3" {}
            @if let Some(whole) = whole {
                rect class={ "whole s" (series) } width=(width(whole)) height="16" rx="3" {}
            }
            @if let Some(value) = value {
                rect class={ "part s" (series) } width=(width(value)) height="16" rx="3" {}
            }
        }
    }
}

/// The largest of `values`.
pub(super) fn most(values: impl Iterator<Item = Option<f64>>) -> f64 {
    values.flatten().fold(0.0, f64::max)
}
