//! Whether a worker keeps up with the ticks that it is told.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The time that [`Pulse::stall_max`] looks back over is this long, to twice as long.
const WINDOW: Duration = Duration::from_secs(60);

/// The ticks that a worker was sent, and how late it passed them. The ticker writes what was sent,
/// the worker what it passed; all times are nanoseconds after `created`.
#[derive(Debug)]
pub(crate) struct Pulse {
    created: Instant,
    /// The last tick sent.
    sent: AtomicU64,
    /// The first tick that the worker has not passed, if it has not passed `sent`.
    waiting_since: AtomicU64,
    /// The last tick passed.
    passed: AtomicU64,
    /// The window that `latest` is about.
    window: AtomicU64,
    /// How late the latest tick of this window was passed, and of the window before.
    latest: [AtomicU64; 2],
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            created: Instant::now(),
            sent: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            window: AtomicU64::new(0),
            latest: Default::default(),
        }
    }
}

impl Pulse {
    /// It is time for a tick of the worker.
    pub(crate) fn send(&self, tick: Instant) {
        let tick = self.at(tick);
        if self.passed.load(Ordering::Acquire) >= self.sent.load(Ordering::Relaxed) {
            self.waiting_since.store(tick, Ordering::Relaxed);
        }
        self.sent.store(tick, Ordering::Release);
    }

    /// The worker has passed all ticks until now.
    pub(crate) fn pass(&self, now: Instant) {
        let late = nanoseconds(self.waiting(now));
        let now = self.at(now);
        let window = now / nanoseconds(WINDOW);
        let [latest, before] = &self.latest;
        let last = self.window.swap(window, Ordering::Relaxed);
        if last != window {
            let follows = last + 1 == window;
            let old = latest.swap(0, Ordering::Relaxed);
            before.store(if follows { old } else { 0 }, Ordering::Relaxed);
        }
        latest.fetch_max(late, Ordering::Relaxed);
        self.passed.store(now, Ordering::Release);
    }

    /// How long the worker has had a tick before it; zero if it has passed all.
    pub(crate) fn waiting(&self, now: Instant) -> Duration {
        let sent = self.sent.load(Ordering::Acquire);
        if self.passed.load(Ordering::Acquire) >= sent {
            return Duration::ZERO;
        }
        let since = self.waiting_since.load(Ordering::Relaxed);
        Duration::from_nanos(self.at(now).saturating_sub(since))
    }

    /// The longest that a tick had to wait of late, the one that still waits included.
    pub(crate) fn stall_max(&self, now: Instant) -> Duration {
        let latest = self.latest.iter().map(|late| late.load(Ordering::Relaxed));
        let latest = Duration::from_nanos(latest.max().unwrap_or(0));
        latest.max(self.waiting(now))
    }

    fn at(&self, instant: Instant) -> u64 {
        nanoseconds(instant.saturating_duration_since(self.created))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pulse: &Pulse, seconds: u64) -> Instant {
        pulse.created + Duration::from_secs(seconds)
    }

    #[test]
    fn a_worker_that_passed_every_tick_waits_for_none() {
        let pulse = Pulse::default();
        pulse.send(after(&pulse, 1));
        pulse.pass(after(&pulse, 1));
        assert_eq!(pulse.waiting(after(&pulse, 100)), Duration::ZERO);
    }

    #[test]
    fn a_stuck_worker_waits_from_the_first_tick_that_it_missed() {
        let pulse = Pulse::default();
        for second in 1..=7 {
            pulse.send(after(&pulse, second));
        }
        assert_eq!(pulse.waiting(after(&pulse, 8)), Duration::from_secs(7));
        assert_eq!(pulse.stall_max(after(&pulse, 8)), Duration::from_secs(7));
    }

    #[test]
    fn a_worker_that_was_held_up_is_no_longer_stuck_but_its_stall_is_remembered() {
        let pulse = Pulse::default();
        for second in 1..=7 {
            pulse.send(after(&pulse, second));
        }
        pulse.pass(after(&pulse, 8)); // all seven at once
        assert_eq!(pulse.waiting(after(&pulse, 8)), Duration::ZERO);
        assert_eq!(pulse.stall_max(after(&pulse, 8)), Duration::from_secs(7));
    }

    #[test]
    fn a_process_that_was_stopped_as_a_whole_is_not_stuck() {
        let pulse = Pulse::default();
        pulse.send(after(&pulse, 1));
        pulse.pass(after(&pulse, 1));
        pulse.send(after(&pulse, 60));
        assert_eq!(pulse.waiting(after(&pulse, 60)), Duration::ZERO);
    }
}
