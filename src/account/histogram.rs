//! Distributions of durations, kept by one thread and read by any.

use std::time::Duration;

use super::metrics::Counter;

/// Upper bounds of a histogram's buckets, in microseconds, rising; beyond the last is one more.
pub(crate) type Bounds = [u64; 12];

/// A histogram of durations with one writing thread and any number of readers.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static Bounds,
    buckets: [Counter; 12],
    beyond: Counter,
    /// Of all durations, whole microseconds: nanoseconds are too many for it after 584 years, which a
    /// thousand connections live in seven months.
    sum: Counter,
    /// What is left over of the sum, nanoseconds below 1000. Readers leave it out: with two numbers
    /// that are read one after the other the sum could go back.
    rest: Counter,
}

impl Histogram {
    /// An empty histogram.
    pub(crate) fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            buckets: Default::default(),
            beyond: Counter::default(),
            sum: Counter::default(),
            rest: Counter::default(),
        }
    }

    /// Notes a duration. To be called by one thread only.
    pub(crate) fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let fits = |bound: &u64| nanoseconds <= bound * 1000;
        self.bounds
            .iter()
            .position(fits)
            .map_or(&self.beyond, |bucket| &self.buckets[bucket])
            .add(1);
        let rest = self.rest.get() + u64::from(duration.subsec_nanos() % 1000);
        self.rest.set(rest % 1000);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum.add(microseconds.saturating_add(rest / 1000));
    }
}

/// Histograms of the same bounds, added up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    /// Upper bounds in seconds, each with the durations of its bucket; the last bound is infinite.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// Of all durations, in seconds.
    pub(crate) sum: f64,
    /// How many there are.
    pub(crate) count: u64,
}

impl Distribution {
    /// Adds up histograms.
    pub(crate) fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut buckets = Vec::new();
        let mut microseconds: u128 = 0;
        for histogram in histograms {
            let counts = histogram.buckets.iter().chain([&histogram.beyond]);
            let bounds = histogram.bounds.iter().map(|bound| *bound as f64 / 1e6);
            let bounds = bounds.chain([f64::INFINITY]);
            for (index, (bound, counter)) in bounds.zip(counts).enumerate() {
                if index == buckets.len() {
                    buckets.push((bound, 0));
                }
                buckets[index].1 += counter.get();
            }
            microseconds += u128::from(histogram.sum.get());
        }
        Self {
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
            sum: microseconds as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_it_fits() {
        let histogram = Histogram::new(&BOUNDS);
        for nanoseconds in [0, 1000, 1001, 12_000, 12_001] {
            histogram.observe(Duration::from_nanos(nanoseconds));
        }
        let sum = Distribution::of([&histogram]);
        let filled: Vec<_> = sum.buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            filled,
            [&(1e-6, 2), &(2e-6, 1), &(12e-6, 1), &(f64::INFINITY, 1)]
        );
        assert_eq!(sum.count, 5);
        assert!((sum.sum - 26e-6).abs() < 1e-12, "{sum:?}");
    }

    #[test]
    fn the_sum_outlives_any_process() {
        const YEAR: u64 = 365 * 86_400;
        let (a, b) = (Histogram::new(&BOUNDS), Histogram::new(&BOUNDS));
        for _ in 0..1000 {
            a.observe(Duration::from_secs(100 * YEAR));
            b.observe(Duration::from_secs(400 * YEAR));
        }
        let sum = Distribution::of([&a, &b]).sum;
        assert!((sum / (500_000 * YEAR) as f64 - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn durations_below_a_microsecond_add_up() {
        let histogram = Histogram::new(&BOUNDS);
        for _ in 0..3000 {
            histogram.observe(Duration::from_nanos(1_500));
        }
        let sum = Distribution::of([&histogram]).sum;
        assert!((sum - 4.5e-3).abs() < 1e-12, "{sum}");
    }

    #[test]
    fn histograms_add_up() {
        let (a, b) = (Histogram::new(&BOUNDS), Histogram::new(&BOUNDS));
        a.observe(Duration::from_micros(3));
        b.observe(Duration::from_micros(3));
        assert_eq!(Distribution::of([&a, &b]).buckets[2], (3e-6, 2));
        assert_eq!(Distribution::of([&a, &b]).count, 2);
    }
}
