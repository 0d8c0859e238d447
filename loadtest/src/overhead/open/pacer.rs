//! When calls come due.
//!
//! The timetable is fixed beforehand and waits for nobody: a stalled server, proxy or client delays
//! calls, never the moment from which their delay is counted (coordinated omission; see the last
//! section of wrk2's README). A thread of its own keeps it, since a runtime's timers are to the
//! millisecond, and busy when the runtime is.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::schedule::{Arm, Schedule};
use super::super::tally::Turn;
use super::lane::{Due, Lane};
use crate::process::machine;

/// How long calls come due in one turn, unless that is too short for one call. Short, so that a
/// stall of half a second meets every arm, and a run has many rounds.
const TURN: Duration = Duration::from_millis(100);

/// A turn is followed by this part of it without calls, so that most of its answers are there before
/// the next arm begins. It is part of the timetable: it comes whether or not they are.
const PAUSE: u32 = 5;

/// Keeps the timetable.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Calls a second in a turn.
    rate: f64,
    /// Calls of a turn.
    count: usize,
    /// Those of each arm, in the order of the arms.
    lanes: Vec<Arc<Lane>>,
    /// The number of the next round.
    round: u64,
    schedule: Schedule,
}

/// One turn of the timetable that is over.
#[derive(Debug)]
pub(super) struct TurnOver {
    /// The round that it belongs to.
    pub(super) round: u64,
    /// Whose turn it was.
    pub(super) arm: Arm,
    /// How it was.
    pub(super) turn: Turn,
}

impl Pacer {
    /// `rate` is calls a second to each target in its turns.
    pub(super) fn new(rate: f64, lanes: Vec<Arc<Lane>>, schedule: Schedule) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the flag keeps the rate within bounds"
        )]
        let count = (rate * TURN.as_secs_f64()).round() as usize;
        Self {
            rate,
            count: count.max(1),
            lanes,
            round: 0,
            schedule,
        }
    }

    /// The number of the round that comes next.
    pub(super) fn next_round(&self) -> u64 {
        self.round
    }

    /// Makes rounds until `end` or until told to `stop`; the last one is whole all the same. Each
    /// turn is told through `over`.
    pub(super) fn run(&mut self, end: Instant, stop: &AtomicBool, over: impl Fn(TurnOver)) {
        // Linux lets sleepers oversleep by 50 us, unless asked not to. If it refuses, so be it.
        rustix::thread::set_current_timer_slack(NonZero::new(1)).ok();
        let mut begins = Instant::now();
        while begins < end && !stop.load(Ordering::Relaxed) {
            let (order, calls) = self.schedule.piece(self.count);
            for arm in order {
                let (ends, turn) = self.turn(arm, &calls, begins);
                begins = ends;
                let round = self.round;
                over(TurnOver { round, arm, turn });
            }
            self.round += 1;
        }
    }

    /// One turn, from `begins` on. Returns when it is over, and that moment.
    fn turn(&self, arm: Arm, calls: &[usize], begins: Instant) -> (Instant, Turn) {
        let time = Duration::from_secs_f64(calls.len() as f64 / self.rate);
        let turn_ends = begins + time + time / PAUSE;
        let mut turn = Turn {
            time,
            offered: calls.len() as u64,
            ..Turn::default()
        };
        sleep_until(begins);
        let busy = machine::busy();
        for (place, &call) in calls.iter().enumerate() {
            let at = begins + Duration::from_secs_f64(place as f64 / self.rate);
            sleep_until(at);
            let due = Due {
                round: self.round,
                call,
                at,
                turn_ends,
            };
            turn.unsent += u64::from(!self.lanes[arm.place()].push(due));
        }
        sleep_until(turn_ends);
        turn.machine = machine::busy().saturating_sub(busy);
        (turn_ends, turn)
    }
}

/// Returns at once when `moment` is over already.
fn sleep_until(moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::mix::Mix;
    use super::*;

    #[test]
    fn the_timetable_waits_for_nobody() {
        let lanes: Vec<_> = (0..3).map(|_| Arc::new(Lane::new())).collect();
        let schedule = Schedule::new(Arc::new(Mix::for_standin(1)), 1, 1);
        let mut pacer = Pacer::new(1_000.0, lanes.clone(), schedule);
        let (stop, turns) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
        let began = Instant::now();
        // Nobody makes a call, and whoever is told of a turn is slow.
        pacer.run(began + Duration::from_millis(1), &stop, |over| {
            thread::sleep(Duration::from_millis(150));
            turns.lock().unwrap().push(over);
        });
        let turns = turns.into_inner().unwrap();
        assert_eq!(turns.len(), 3);
        for TurnOver { round, turn, .. } in &turns {
            assert_eq!((*round, turn.offered, turn.unsent), (0, 100, 0));
            assert_eq!(turn.time, TURN);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut moments = Vec::new();
        for TurnOver { arm, .. } in &turns {
            for _ in 0..100 {
                let due = runtime.block_on(lanes[arm.place()].pop()).unwrap();
                moments.push(due.at);
            }
        }
        // One millisecond after the other; between turns, 21 for the pause.
        let gaps = moments.windows(2).map(|pair| pair[1] - pair[0]);
        let gaps = gaps
            .map(|gap| (gap.as_secs_f64() * 1e3).round())
            .collect::<Vec<_>>();
        assert_eq!(gaps.iter().filter(|&&gap| gap == 1.0).count(), 297);
        assert_eq!(gaps.iter().filter(|&&gap| gap == 21.0).count(), 2);
    }
}
