//! How many connections a second are let in: `--max-accept-rate`.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A token bucket that holds one second's worth, in the form of the generic cell rate algorithm
/// (ITU-T I.371, Annex A): one point in time instead of a number of tokens and the time of the last
/// refill.
pub(crate) struct AcceptRate {
    /// Time that a token takes to come back.
    interval: Duration,
    /// When the bucket is full again. Locked by the one thread that accepts.
    full: Mutex<Option<Instant>>,
}

/// What the bucket holds, as the time that it takes to fill.
const BURST: Duration = Duration::from_secs(1);

impl AcceptRate {
    /// A full bucket of so many tokens a second.
    pub(crate) fn new(per_second: NonZeroUsize) -> Self {
        let per_second = u32::try_from(per_second.get()).unwrap_or(u32::MAX);
        Self {
            interval: Duration::from_secs(1) / per_second,
            full: Mutex::default(),
        }
    }

    /// Takes a token, if there is one at `now`.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full.map_or(now, |full| full.max(now)) + self.interval;
        let there_is = next <= now + BURST;
        if there_is {
            *full = Some(next);
        }
        there_is
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: usize) -> AcceptRate {
        AcceptRate::new(NonZeroUsize::new(per_second).unwrap())
    }

    fn taken(rate: &AcceptRate, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| rate.take(now)).count()
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_no_more() {
        for per_second in [1, 3, 7, 1000, 1_000_000] {
            let now = Instant::now();
            assert_eq!(taken(&rate(per_second), per_second + 5, now), per_second);
        }
    }

    #[test]
    fn tokens_come_back_as_time_passes_up_to_a_second_s_worth() {
        let (rate, start) = (rate(10), Instant::now());
        assert_eq!(taken(&rate, 20, start), 10);
        assert_eq!(taken(&rate, 20, start + Duration::from_millis(99)), 0);
        assert_eq!(taken(&rate, 20, start + Duration::from_millis(300)), 3);
        assert_eq!(taken(&rate, 20, start + Duration::from_secs(3600)), 10);
    }

    #[test]
    fn what_is_turned_away_takes_no_token() {
        let (rate, start) = (rate(2), Instant::now());
        assert_eq!(taken(&rate, 1000, start), 2);
        assert_eq!(taken(&rate, 1000, start + Duration::from_millis(500)), 1);
    }
}
