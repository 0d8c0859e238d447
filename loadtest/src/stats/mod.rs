//! Latencies and what can be said of their differences.

mod latencies;

pub use self::latencies::Latencies;

/// The median of `values`, which are put in order for it; the mean of the middle two when their
/// number is even, `None` when there are none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let &upper = values.get(middle)?;
    match values.len() % 2 {
        1 => Some(upper),
        _ => Some((values[middle - 1] + upper) / 2.0),
    }
}

/// A median with the interval in which the true one lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MedianInterval {
    /// The median of the values.
    pub(crate) median: f64,
    /// The lower end of the interval.
    pub(crate) low: f64,
    /// The upper end of the interval.
    pub(crate) high: f64,
}

/// The median of `values`, which are put in order for it, and its 95 % interval by order
/// statistics: it assumes nothing of how the values are distributed, only that they are
/// independent. `None` below six values, where no such interval exists.
pub(crate) fn median_interval(values: &mut [f64]) -> Option<MedianInterval> {
    let median = median(values)?;
    let outside = values_outside(values.len())?;
    Some(MedianInterval {
        median,
        low: values[outside],
        high: values[values.len() - 1 - outside],
    })
}

/// How many of `count` ordered values lie outside a 95 % interval of the median, at each end: the
/// largest number for which so few values below the median come up in at most 2.5 % of all cases.
fn values_outside(count: usize) -> Option<usize> {
    const TAIL: f64 = 0.025;
    const EXACT: usize = 500; // beyond, 2^-count leaves f64 soon, and the normal is near enough
    if count > EXACT {
        let count = count as f64;
        let outside = (count / 2.0 - 0.98 * count.sqrt()).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, positive and below count"
        )]
        return Some(outside as usize - 1);
    }
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut cumulative = probability;
    if cumulative > TAIL {
        return None;
    }
    let mut outside = 0;
    loop {
        probability *= (count - outside) as f64 / (outside + 1) as f64;
        cumulative += probability;
        if cumulative > TAIL {
            return Some(outside);
        }
        outside += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seeded;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: the ranks of the sign test's interval.
        for (count, outside) in [(6, Some(0)), (10, Some(1)), (20, Some(5)), (50, Some(17))] {
            assert_eq!(values_outside(count), outside, "{count} values");
        }
        assert_eq!(values_outside(5), None);
        assert_eq!(values_outside(0), None);
    }

    #[test]
    fn the_approximation_joins_the_exact_part() {
        let (exact, approximate) = (values_outside(500).unwrap(), values_outside(501).unwrap());
        assert!(
            exact.abs_diff(approximate) <= 1,
            "{exact} and {approximate}"
        );
    }

    #[test]
    fn the_interval_covers_the_median_as_often_as_it_says() {
        let mut seeded = Seeded::new(1);
        let covered = (0..1_000)
            .filter(|_| {
                let mut values: Vec<f64> =
                    (0..40).map(|_| seeded.below(1_000_001) as f64).collect();
                let interval = median_interval(&mut values).unwrap();
                (interval.low..=interval.high).contains(&500_000.0)
            })
            .count();
        assert!((930..=985).contains(&covered), "{covered} of 1,000");
    }
}
