//! Figures of many rounds, and how two of them compare round by round.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{median, median_interval};

/// The median of the rounds' figures. The interval is missing below six rounds, where none with
/// 95 % confidence exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// Rounds that count.
    pub rounds: usize,
    /// The rounds' own figures, in their order.
    #[serde(default)]
    pub values: Vec<f64>,
}

impl Estimate {
    /// The estimate from `values`, one of each round; `None` when there is none.
    pub(crate) fn of(values: Vec<f64>) -> Option<Self> {
        let mut ordered = values.clone();
        let median = median(&mut ordered)?;
        let interval = median_interval(&mut ordered);
        Some(Self {
            median,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            rounds: values.len(),
            values,
        })
    }

    /// Whether `value` lies within the interval; `None` without one.
    pub fn covers(&self, value: f64) -> Option<bool> {
        Some((self.low?..=self.high?).contains(&value))
    }
}

/// How one target's figure compares with another's, both of the same round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The target that stands for 1.
    pub base: String,
    /// The figure that is compared: the name of a field of the target.
    pub metric: String,
    /// The figure as a multiple of the base's.
    pub ratio: Estimate,
}

/// A difference of medians in nanoseconds, paired by round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The median of the rounds' differences.
    pub median_ns: f64,
    /// Lower end of its 95 % interval.
    pub low_ns: f64,
    /// Upper end of its 95 % interval.
    pub high_ns: f64,
    /// Rounds that count.
    pub pairs: usize,
    /// The rounds' own differences, in their order: what merging puts together.
    #[serde(default)]
    pub values_ns: Vec<f64>,
}

impl Difference {
    /// The median of `values_ns`, one of each round; `None` below six of them.
    pub(crate) fn of(values_ns: Vec<f64>) -> Option<Self> {
        let interval = median_interval(&mut values_ns.clone())?;
        Some(Self {
            median_ns: interval.median,
            low_ns: interval.low,
            high_ns: interval.high,
            pairs: values_ns.len(),
            values_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rounds_have_a_median_and_no_interval() {
        assert_eq!(Estimate::of(Vec::new()), None);
        let few = Estimate::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((few.median, few.low, few.rounds), (2.0, None, 3));
        assert_eq!(few.covers(2.0), None);
        let enough = Estimate::of((1..=6).map(f64::from).collect()).unwrap();
        assert_eq!((enough.low, enough.high), (Some(1.0), Some(6.0)));
        assert_eq!(
            (enough.covers(6.0), enough.covers(6.1)),
            (Some(true), Some(false))
        );
    }
}
