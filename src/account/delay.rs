//! How long bytes are held up: from a worker's wake-up to the write that passes them on, sampled.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::histogram::{Bounds, Histogram};

/// Every so many wake-ups one is sampled: reading the clock can be a system call. A prime, so that
/// traffic with a rhythm (request, answer, request) is not always met at the same beat.
const EVERY: u32 = 1021;

/// Writes after a wake-up that belong to it: after as many tasks, tokio's runtime looks for new
/// events without a wake-up (`Builder::event_interval`, 61 unless told otherwise).
const WRITES: u32 = 61;

const BOUNDS: Bounds = [
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000, 100_000, 1_000_000,
];

/// Samples the delays of one worker. Only its thread writes.
#[derive(Debug)]
pub(crate) struct DelaySampler {
    created: Instant,
    /// Wake-ups until the next one that is sampled.
    left: AtomicU32,
    /// The next one is, whatever `left` says.
    due: AtomicBool,
    /// When the sampled wake-up was, in nanoseconds after `created`; zero while none is.
    woken: AtomicU64,
    /// Writes that may yet be sampled.
    writes: AtomicU32,
    /// The delays seen.
    pub(crate) seen: Histogram,
}

impl Default for DelaySampler {
    fn default() -> Self {
        Self {
            created: Instant::now(),
            left: AtomicU32::new(EVERY),
            due: AtomicBool::new(false),
            woken: AtomicU64::new(0),
            writes: AtomicU32::new(0),
            seen: Histogram::new(&BOUNDS),
        }
    }
}

impl DelaySampler {
    /// The worker was woken.
    pub(crate) fn woke(&self) {
        let left = self.left.load(Ordering::Relaxed) - 1;
        if left > 0 && !self.due.load(Ordering::Relaxed) {
            self.left.store(left, Ordering::Relaxed);
            if self.woken.load(Ordering::Relaxed) != 0 {
                self.woken.store(0, Ordering::Relaxed);
            }
            return;
        }
        self.left.store(EVERY, Ordering::Relaxed);
        self.due.store(false, Ordering::Relaxed);
        self.writes.store(WRITES, Ordering::Relaxed);
        self.woken.store(self.now(), Ordering::Relaxed);
    }

    /// Has the next wake-up sampled, so that little traffic is seen as well.
    pub(crate) fn soon(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Bytes were passed on.
    #[inline]
    pub(crate) fn wrote(&self) {
        let woken = self.woken.load(Ordering::Relaxed);
        if woken != 0 {
            self.sample(woken);
        }
    }

    #[cold]
    fn sample(&self, woken: u64) {
        let writes = self.writes.load(Ordering::Relaxed);
        if writes == 0 {
            return;
        }
        self.writes.store(writes - 1, Ordering::Relaxed);
        let delay = self.now().saturating_sub(woken);
        self.seen.observe(Duration::from_nanos(delay));
    }

    /// Never zero.
    fn now(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::histogram::Distribution;

    fn seen(sampler: &DelaySampler) -> u64 {
        Distribution::of([&sampler.seen]).count
    }

    #[test]
    fn one_wake_up_of_many_is_sampled_with_the_writes_that_follow_it() {
        let sampler = DelaySampler::default();
        for _ in 0..3 * EVERY {
            sampler.woke();
            sampler.wrote();
            sampler.wrote();
        }
        assert_eq!(seen(&sampler), 6);
    }

    #[test]
    fn the_wake_up_after_a_tick_is_sampled() {
        let sampler = DelaySampler::default();
        sampler.soon();
        sampler.woke();
        sampler.wrote();
        sampler.woke();
        sampler.wrote();
        assert_eq!(seen(&sampler), 1);
    }

    #[test]
    fn a_worker_that_never_sleeps_is_not_sampled_from_long_ago() {
        let sampler = DelaySampler::default();
        sampler.soon();
        sampler.woke();
        for _ in 0..10 * WRITES {
            sampler.wrote();
        }
        assert_eq!(seen(&sampler), u64::from(WRITES));
    }
}
