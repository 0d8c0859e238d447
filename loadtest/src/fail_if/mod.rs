//! `--fail-if EXPR`: conditions under which a run counts as failed, for CI.
//!
//! A condition is `[WHERE:]FIGURE OP VALUE`: `errors>0`, `health check:p99-added>200us`. It is read
//! before the run and held against the report after it.

mod bound;
mod measured;
mod overhead;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use self::bound::{Bound, Op};
use crate::warning::Warning;

pub(crate) use self::measured::{MEASURED, figures as measured_figures};
pub(crate) use self::overhead::{OVERHEAD, figures as overhead_figures};

/// What can be asked of a figure's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A length of time: `200us`, `1.5ms`.
    Time,
    /// A length of time, or a share of the direct one: `5%`.
    Added,
    /// A number: `0`.
    Number,
    /// A share: `95%`.
    Share,
    /// An amount of memory: `64MiB`.
    Memory,
}

/// A figure that conditions can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What its values are.
    pub(crate) quantity: Quantity,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As the user wrote it.
    text: String,
    /// The kind of call or scenario that it is about; all of them without one.
    place: Option<String>,
    metric: String,
    op: Op,
    bound: Bound,
}

/// What a report has for a metric, in one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// The kind of call, or the scenario; empty where it is about all of them.
    pub(crate) place: String,
    /// The target.
    pub(crate) target: String,
    /// The value, in the unit of [`Bound`]; `None` where it could not be measured.
    pub(crate) value: Option<f64>,
    /// Its 95 % interval, where it has one.
    pub(crate) interval: Option<(f64, f64)>,
}

/// Holds all `conditions` against the figures of their metrics: those that held, each with its
/// figure, and those that may have held by chance.
pub(crate) fn judge(
    conditions: &[Condition],
    figures: impl Fn(&Condition) -> Vec<Figure>,
) -> (Vec<String>, Vec<String>) {
    let (mut held, mut unsure) = (Vec::new(), Vec::new());
    for condition in conditions {
        let (own, chance) = condition.judge(&figures(condition));
        held.extend(own);
        unsure.extend(chance.iter().map(ToString::to_string));
    }
    (held, unsure)
}

impl Condition {
    /// Checks what can be known before the run: the name and the kind of value, with `metrics` that
    /// there are, and the place with `places`, unless those are not known yet.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub(crate) fn check(&self, metrics: &[Metric], places: &[String]) -> Result<(), String> {
        let wrong = |what: String| format!("--fail-if '{}': {what}", self.text);
        let metric = metrics.iter().find(|metric| metric.name == self.metric);
        let Some(metric) = metric else {
            let names: Vec<_> = metrics.iter().map(|metric| metric.name).collect();
            return Err(wrong(format!(
                "there is no figure '{}' here; there are {}",
                self.metric,
                names.join(", ")
            )));
        };
        let form = match (metric.quantity, self.bound) {
            (Quantity::Time | Quantity::Added, Bound::Time(_))
            | (Quantity::Added | Quantity::Share, Bound::Share(_))
            | (Quantity::Number, Bound::Number(_))
            | (Quantity::Memory, Bound::Memory(_)) => None,
            (Quantity::Time, _) => Some("a time, as 200us or 1.5ms"),
            (Quantity::Added, _) => Some("a time, as 200us or 1.5ms, or a share, as 5%"),
            (Quantity::Share, _) => Some("a share, as 95%"),
            (Quantity::Number, _) => Some("a number, as 0"),
            (Quantity::Memory, _) => Some("a size, as 64MiB"),
        };
        if let Some(form) = form {
            return Err(wrong(format!("{} is {form}", metric.name)));
        }
        match &self.place {
            Some(place) if !places.is_empty() && !places.contains(place) => Err(wrong(format!(
                "there is no '{place}' in this run; there are {}",
                places.join("; ")
            ))),
            _ => Ok(()),
        }
    }

    /// Holds the condition against `figures` of its metric. A figure with an interval counts only
    /// when all of the interval is beyond the bound: noise alone fails no build. One that could not
    /// be measured counts: a build that was not looked at has not passed.
    pub(crate) fn judge(&self, figures: &[Figure]) -> (Vec<String>, Vec<Warning>) {
        let (mut held, mut unsure) = (Vec::new(), Vec::new());
        let is_meant = |figure: &&Figure| {
            self.place
                .as_ref()
                .is_none_or(|place| *place == figure.place)
        };
        let mut meant = figures.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            held.push(format!("'{}': the run has no such figure", self.text));
        }
        for figure in meant {
            let place = match figure.place.as_str() {
                "" => figure.target.clone(),
                place => format!("{place}, {}", figure.target),
            };
            let Some(value) = figure.value else {
                held.push(format!(
                    "'{}': {place}: too little was measured to tell",
                    self.text
                ));
                continue;
            };
            let (low, high) = figure.interval.unwrap_or((value, value));
            let surest = match self.op {
                Op::Above | Op::AtLeast => low,
                Op::Below | Op::AtMost => high,
            };
            let shown = self.shown(value, figure.interval);
            if self.op.holds(surest, self.bound.value()) {
                held.push(format!("'{}': {place}: {shown}", self.text));
            } else if self.op.holds(value, self.bound.value()) {
                let figure = format!("{place}: {shown}");
                unsure.push(Warning::Unsure(self.text.clone(), figure));
            }
        }
        (held, unsure)
    }

    /// The figure's name.
    pub(crate) fn metric(&self) -> &str {
        &self.metric
    }

    /// Whether it is about one kind of call or scenario.
    pub(crate) fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// Whether the bound is a share.
    pub(crate) fn is_share(&self) -> bool {
        matches!(self.bound, Bound::Share(_))
    }

    fn shown(&self, value: f64, interval: Option<(f64, f64)>) -> String {
        let one = |value| self.bound.shown(value);
        match interval {
            None => one(value),
            Some((low, high)) => format!("{} [{}, {}]", one(value), one(low), one(high)),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it as FIGURE>VALUE, FIGURE<VALUE, or with WHERE: in front";
        let ops = Op::ALL
            .iter()
            .filter_map(|&(sign, op)| Some((text.find(sign)?, sign, op)));
        // The first sign; of two at one place, the longer one, which comes first in the list.
        let (at, sign, op) = ops.min_by_key(|(at, ..)| *at).ok_or(FORM)?;
        let (left, right) = (&text[..at], &text[at + sign.len()..]);
        let (place, metric) = match left.rsplit_once(':') {
            Some((place, metric)) => (Some(place.trim().to_owned()), metric),
            None => (None, left),
        };
        if metric.trim().is_empty() || place.as_deref() == Some("") {
            return Err(FORM.to_owned());
        }
        Ok(Self {
            text: text.trim().to_owned(),
            place,
            metric: metric.trim().to_owned(),
            op,
            bound: right.trim().parse()?,
        })
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
