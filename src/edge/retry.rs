//! Trying a refused upstream again: how soon, and how often all together.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The first pause. Short beside a restart, long beside a connect.
const SHORTEST: Duration = Duration::from_millis(50);

/// What pauses grow to: so late at most is an upstream found that is back.
const LONGEST: Duration = Duration::from_millis(250);

/// For so long a refusal of one connection stands for all others on its worker. Half of the grain in
/// which deadlines are looked after, so that one of those that are due together dials.
const FRESH: Duration = Duration::from_millis(25);

/// What the connections of a worker know of an upstream that refuses.
#[derive(Default)]
pub(crate) struct Outage {
    /// When it last refused one of them; unset while it is not known to refuse.
    refused: Cell<Option<Instant>>,
    /// When one of them last set out to try again, if it has not come back with an answer.
    scout: Cell<Option<Instant>>,
    /// Pauses ever made, which spreads them.
    pauses: Cell<u64>,
}

impl Outage {
    /// The first pause of a connection that was refused.
    pub(crate) fn pauses(&self) -> Pauses<'_> {
        Pauses {
            outage: self,
            next: SHORTEST,
        }
    }

    /// Whether to try now: where the upstream is not known to refuse, or else nobody has just been
    /// refused, nor is on the way. Whoever hears yes is to try.
    pub(crate) fn take_turn(&self, now: Instant) -> bool {
        let within = |bound| move |then| now.saturating_duration_since(then) < bound;
        let Some(refused) = self.refused.get() else {
            return true;
        };
        // A scout that has left, or waits for an address that is silent, holds up nobody for long.
        if within(FRESH)(refused) || self.scout.get().is_some_and(within(LONGEST)) {
            return false;
        }
        self.scout.set(Some(now));
        true
    }

    /// The upstream has refused a connection.
    pub(crate) fn refused(&self, now: Instant) {
        self.refused.set(Some(now));
        self.scout.set(None);
    }

    /// The upstream was reached: from now on everybody tries.
    pub(crate) fn over(&self) {
        self.refused.set(None);
        self.scout.set(None);
    }
}

/// The pauses of one connection, each twice as long as the one before, up to a bound, and then up
/// to a half shorter by chance.
pub(crate) struct Pauses<'a> {
    outage: &'a Outage,
    next: Duration,
}

impl Pauses<'_> {
    /// Until when to wait; no later than a try may begin. `None`: it is too late for another.
    pub(crate) fn until(&mut self, now: Instant, last_try: Instant) -> Option<Instant> {
        let count = self.outage.pauses.get().wrapping_add(1);
        self.outage.pauses.set(count);
        let pause = jittered(self.next, count);
        self.next = (self.next * 2).min(LONGEST);
        // Deadlines are looked after in this grain: one that rings late is not to be beyond the last try.
        let last = last_try.checked_sub(SHORTEST)?;
        (now < last).then(|| last.min(now + pause))
    }
}

/// `pause`, or up to a half less.
fn jittered(pause: Duration, count: u64) -> Duration {
    // Fibonacci hashing (Knuth, TAOCP 6.4) spreads consecutive numbers evenly over 0..1024.
    let spread = count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    pause.mul_f64(1.0 - spread as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_the_last_try_is_in_time() {
        let (outage, begun) = (Outage::default(), Instant::now());
        let last_try = begun + Duration::from_secs(2);
        let (mut pauses, mut now, mut tries) = (outage.pauses(), begun, 0);
        while let Some(until) = pauses.until(now, last_try) {
            assert!(until > now && until - now <= LONGEST);
            assert!(until + SHORTEST <= last_try);
            (now, tries) = (until, tries + 1);
        }
        assert!(last_try - now <= 2 * SHORTEST, "the time is used up");
        assert!((2000 / 250..2000 / 100).contains(&tries), "{tries}");
        assert_eq!(outage.pauses().until(now, now), None);
    }

    #[test]
    fn connections_that_wait_together_are_spread_and_share_what_one_of_them_finds() {
        let (outage, now) = (Outage::default(), Instant::now());
        let far = now + Duration::from_secs(60);
        let mut untils: Vec<_> = (0..1000)
            .filter_map(|_| outage.pauses().until(now, far))
            .collect();
        untils.sort_unstable();
        let middle = untils[500] - now;
        assert!(untils[0] - now >= SHORTEST / 2 && untils[999] - now <= SHORTEST);
        assert!(
            middle > SHORTEST * 7 / 10 && middle < SHORTEST * 8 / 10,
            "{middle:?}"
        );

        let turns = |at| (0..1000).filter(|_| outage.take_turn(at)).count();
        outage.refused(now);
        assert_eq!(turns(now), 0, "what one has found is true of all");
        assert_eq!(turns(now + FRESH), 1);
        let soon = now + FRESH + Duration::from_millis(1);
        assert_eq!(turns(soon), 0, "one is on the way");
        assert_eq!(turns(now + FRESH + LONGEST), 1, "it does not come back");
        outage.over();
        assert_eq!(turns(soon), 1000);
    }
}
