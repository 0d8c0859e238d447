//! What several machines found, as one figure.

use crate::report::{Difference, Distribution, Estimate, TailDifference};
use crate::stats::Latencies;

/// The latencies of all.
pub(super) fn latencies<'a>(all: impl Iterator<Item = &'a Distribution>) -> Distribution {
    let mut sum = Latencies::new();
    for latencies in all.filter_map(|latency| latency.histogram.as_ref()) {
        sum.add(latencies);
    }
    Distribution::of(&sum)
}

/// The differences of all machines' rounds together.
pub(super) fn differences<'a>(
    all: impl Iterator<Item = &'a Option<Difference>>,
) -> Option<Difference> {
    let rounds = all.flatten().flat_map(|one| &one.values_ns);
    Difference::of(rounds.copied().collect())
}

/// The mean of all machines' differences of a percentile. They are independent, so the distances
/// to the ends of its interval are the roots of the sums of squares, by their number. `None` unless
/// all have one.
pub(super) fn tails<'a>(
    all: impl Iterator<Item = Option<&'a TailDifference>>,
) -> Option<TailDifference> {
    let all: Vec<&TailDifference> = all.collect::<Option<_>>()?;
    let count = all.len() as f64;
    let mean = all.iter().map(|one| one.difference_ns).sum::<f64>() / count;
    let distance = |end: fn(&TailDifference) -> f64| {
        let squares = all.iter().map(|one| (end(one) - one.difference_ns).powi(2));
        squares.sum::<f64>().sqrt() / count
    };
    Some(TailDifference {
        difference_ns: mean,
        low_ns: mean - distance(|one| one.low_ns),
        high_ns: mean + distance(|one| one.high_ns),
    })
}

/// The figures of all machines' rounds together.
pub(super) fn estimates<'a>(all: impl Iterator<Item = Option<&'a Estimate>>) -> Option<Estimate> {
    let rounds = all.flatten().flat_map(|one| &one.values);
    Estimate::of(rounds.copied().collect())
}

/// The sum of what each of `machines` does, round by round: the rates of rounds with the same
/// number are added. `None` unless all have one.
pub(super) fn sum<'a>(all: impl Iterator<Item = Option<&'a Estimate>>) -> Option<Estimate> {
    let all: Vec<&Estimate> = all.collect::<Option<_>>()?;
    let rounds = all.iter().map(|one| one.values.len()).min()?;
    let sum = |round: usize| all.iter().map(|one| one.values[round]).sum();
    Estimate::of((0..rounds).map(sum).collect())
}

/// The mean of `values`, each as often as its weight says; `None` unless all are there.
pub(super) fn mean(values: impl Iterator<Item = (Option<f64>, f64)>) -> Option<f64> {
    let mut all = (0.0, 0.0);
    for (value, weight) in values {
        all.0 += value? * weight;
        all.1 += weight;
    }
    (all.1 > 0.0).then(|| all.0 / all.1)
}

/// Whether two of these intervals have nothing in common.
pub(super) fn disagree(intervals: &[(f64, f64)]) -> bool {
    let highest_low = intervals
        .iter()
        .map(|(low, _)| *low)
        .fold(f64::MIN, f64::max);
    let lowest_high = intervals
        .iter()
        .map(|(_, high)| *high)
        .fold(f64::MAX, f64::min);
    highest_low > lowest_high
}
