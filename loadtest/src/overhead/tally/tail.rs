//! Percentiles beyond the median, and how far two targets' are apart.
//!
//! A round is too short for a 99th percentile of its own, so these are taken of all rounds
//! together. Calls of one round are not independent of each other; hence the interval is that of a
//! bootstrap over rounds (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and
//! 13): the rounds are drawn anew, each with all its calls, direct and through the proxy.

use crate::report::{Tail, TailDifference};
use crate::seed::Seeded;

/// Latencies in nanoseconds, each with its round.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    calls: Vec<(u32, f32)>,
    /// Only rounds whose number it divides are kept.
    stride: u32,
}

/// Calls kept of one kind to one target. Beyond, every other round is let go: long runs stay within
/// the memory of short ones, and pairs stay pairs.
const MOST: usize = 1 << 14;

/// Times that the rounds are drawn anew.
const DRAWS: usize = 400;

/// Calls that a percentile must leave on its far side, for it to mean anything.
const BEYOND: f64 = 5.0;

impl Rounds {
    /// Keeps the latencies of round number `round`.
    pub(super) fn add(&mut self, round: u32, nanoseconds: &[f64]) {
        self.stride = self.stride.max(1);
        if round.is_multiple_of(self.stride) {
            #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
            let calls = nanoseconds.iter().map(|&value| (round, value as f32));
            self.calls.extend(calls);
        }
        while self.calls.len() > MOST {
            self.stride *= 2;
            let stride = self.stride;
            self.calls.retain(|(round, _)| round.is_multiple_of(stride));
        }
    }

    /// How the percentiles of `other` differ from these. `rounds` is how many there were.
    pub(super) fn compare(&self, other: &Self, rounds: u32) -> Tail {
        const FEWEST: u32 = 6; // as for the median
        let stride = self.stride.max(other.stride).max(1);
        let (own, other) = (self.sorted(stride), other.sorted(stride));
        let rounds = rounds.div_ceil(stride);
        if rounds < FEWEST {
            return Tail::default();
        }
        let percentiles = [90.0, 99.0, 99.9];
        let mut draws: [Vec<f64>; 3] = Default::default();
        let mut seeded = Seeded::new(u64::from(rounds));
        let mut weights = vec![0_u32; rounds as usize];
        for _ in 0..DRAWS {
            weights.fill(0);
            for _ in 0..rounds {
                weights[seeded.below(rounds as usize)] += 1;
            }
            for (draws, percent) in draws.iter_mut().zip(percentiles) {
                let weight = |round: u32| weights[(round / stride) as usize];
                let ends = at(&other, percent, weight).zip(at(&own, percent, weight));
                draws.extend(ends.map(|(other, own)| other - own));
            }
        }
        let fewest = own.len().min(other.len()) as f64;
        let [p90, p99, p999] = [0, 1, 2].map(|place| {
            let percent = percentiles[place];
            if fewest * (100.0 - percent) / 100.0 < BEYOND {
                return None;
            }
            let draws = &mut draws[place];
            draws.sort_unstable_by(f64::total_cmp);
            let outside = draws.len() / 40; // 2.5 % at each end
            Some(TailDifference {
                difference_ns: at(&other, percent, |_| 1)? - at(&own, percent, |_| 1)?,
                low_ns: *draws.get(outside)?,
                high_ns: *draws.get(draws.len().checked_sub(outside + 1)?)?,
            })
        });
        Tail { p90, p99, p999 }
    }

    /// In the order of their latencies.
    fn sorted(&self, stride: u32) -> Vec<(u32, f32)> {
        let calls = self.calls.iter().copied();
        let mut calls: Vec<_> = calls
            .filter(|(round, _)| round.is_multiple_of(stride))
            .collect();
        calls.sort_unstable_by(|(_, a), (_, b)| a.total_cmp(b));
        calls
    }
}

/// The latency that `percent` of the calls do not exceed, when each counts as often as its round.
fn at(calls: &[(u32, f32)], percent: f64, weight: impl Fn(u32) -> u32) -> Option<f64> {
    let total: u64 = calls
        .iter()
        .map(|&(round, _)| u64::from(weight(round)))
        .sum();
    // From the far end, which is near.
    let beyond = (total as f64 * (100.0 - percent) / 100.0).floor();
    let mut passed = 0.0;
    for &(round, latency) in calls.iter().rev() {
        passed += f64::from(weight(round));
        if passed > beyond {
            return Some(f64::from(latency));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` rounds of ten calls each, evenly from `base` to `base` + 1,000 ns.
    fn rounds(count: u32, base: f64) -> Rounds {
        let (mut rounds, mut seeded) = (Rounds::default(), Seeded::new(1));
        for round in 0..count {
            let calls: Vec<f64> = (0..10).map(|_| base + seeded.below(1_001) as f64).collect();
            rounds.add(round, &calls);
        }
        rounds
    }

    #[test]
    fn percentiles_are_those_of_the_definition() {
        let calls: Vec<_> = (1_u8..=100).map(|value| (0, f32::from(value))).collect();
        assert_eq!(at(&calls, 90.0, |_| 1), Some(90.0));
        assert_eq!(at(&calls, 99.0, |_| 1), Some(99.0));
        assert_eq!(at(&calls, 99.9, |_| 7), Some(100.0));
        assert_eq!(at(&calls, 99.0, |_| 0), None);
    }

    #[test]
    fn what_is_added_lies_within_the_interval() {
        let (direct, through) = (rounds(100, 5_000.0), rounds(100, 5_700.0));
        let tail = direct.compare(&through, 100);
        for difference in [tail.p90.unwrap(), tail.p99.unwrap()] {
            assert_eq!(difference.difference_ns, 700.0); // the same draws on both sides
            assert!(difference.low_ns <= 700.0 && 700.0 <= difference.high_ns);
            assert!(
                difference.high_ns - difference.low_ns < 200.0,
                "{difference:?}"
            );
        }
        assert_eq!(tail.p999, None, "one call of 1,000 tells nothing");
    }

    #[test]
    fn a_slow_round_widens_the_interval() {
        let (direct, mut through) = (rounds(100, 5_000.0), rounds(99, 5_000.0));
        through.add(99, &[900_000.0; 10]);
        // Ten slow calls in 1,000, but all of one round: it may be chance.
        let p99 = direct.compare(&through, 100).p99.unwrap();
        assert!(p99.low_ns < 1_000.0 && p99.high_ns > 800_000.0, "{p99:?}");
    }

    #[test]
    fn few_rounds_and_few_calls_tell_nothing() {
        assert_eq!(rounds(5, 0.0).compare(&rounds(5, 0.0), 5), Tail::default());
        let few = rounds(20, 0.0).compare(&rounds(20, 0.0), 20);
        assert!(few.p90.is_some() && few.p99.is_none());
        let none = Rounds::default().compare(&rounds(20, 0.0), 20);
        assert_eq!(none, Tail::default());
    }

    #[test]
    fn long_runs_stay_within_the_memory_of_short_ones() {
        let long = rounds(100_000, 0.0);
        assert!(
            long.calls.len() <= MOST && long.stride == 64,
            "{}",
            long.stride
        );
        // Against one that was called less often.
        let tail = long.compare(&rounds(1_000, 0.0), 100_000);
        assert!(tail.p90.is_some());
    }
}
