//! Open loop: calls begin at their time, whether or not others have ended.
//!
//! Arms take turns as in closed loop. A turn is a slice of time in which calls come due at the rate;
//! a round gives every arm a turn with the same calls, in a random order, on a timetable that never
//! waits. What is compared is compared within a round.

mod lane;
mod pacer;
mod round;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::lane::Lane;
use self::pacer::{Pacer, TurnOver};
use self::round::Round;
use super::block::{Plan, Sample};
use super::closed::HOPELESS;
use super::progress::Progress;
use super::schedule::{Arm, Schedule};
use super::tally::{Tally, Turn};
use super::targets::Targets;
use crate::client::QuerierClient;

/// How long calls that wait or run when their time is over may still take: a call's own limit.
const DRAIN: Duration = Duration::from_secs(10);

/// A run under way.
pub(super) struct Open {
    /// Lent to its thread while it runs.
    pacer: Option<Pacer>,
    lanes: Vec<Arc<Lane>>,
    /// They make the calls.
    _workers: JoinSet<()>,
    tell: UnboundedSender<Event>,
    told: UnboundedReceiver<Event>,
    rounds: BTreeMap<u64, Round>,
    /// The first round that is not given up.
    first: u64,
    tally: Tally,
    warming: bool,
    measured: u64,
    /// Rounds in a row in which an arm had no answer at all.
    hopeless: u32,
}

/// What happens while calls are made.
enum Event {
    TurnOver(TurnOver),
    Ended {
        round: u64,
        arm: Arm,
        sample: Sample,
    },
    /// The timetable has come to its end.
    Over(Pacer),
}

impl Open {
    /// Nothing made yet; the workers wait.
    pub(super) fn new(
        plan: &Plan,
        clients: &[Vec<QuerierClient>],
        proxies: &[String],
        seed: u64,
        rate: f64,
    ) -> Self {
        let (tell, told) = unbounded_channel();
        let mut workers = JoinSet::new();
        let mut lanes = Vec::new();
        for (arm, clients) in Arm::all(proxies.len()).into_iter().zip(clients) {
            let lane = Arc::new(Lane::new());
            // Connection by connection, so that few calls still use all connections.
            for _ in 0..plan.streams {
                for client in clients {
                    let (plan, client) = (plan.clone(), client.clone());
                    workers.spawn(work(plan, client, arm, Arc::clone(&lane), tell.clone()));
                }
            }
            lanes.push(lane);
        }
        let schedule = Schedule::new(Arc::clone(&plan.mix), proxies.len(), seed);
        Self {
            pacer: Some(Pacer::new(rate, lanes.clone(), schedule)),
            lanes,
            _workers: workers,
            tell,
            told,
            rounds: BTreeMap::new(),
            first: 0,
            tally: Tally::new(Arc::clone(&plan.mix), proxies, true),
            warming: true,
            measured: 0,
            hopeless: 0,
        }
    }

    /// Makes rounds for `time`, or until a target has stopped answering, and waits for their answers.
    /// While `warming`, errors count and latencies do not.
    ///
    /// # Errors
    /// When a process of `targets` has ended.
    pub(super) async fn run_for(
        &mut self,
        time: Duration,
        warming: bool,
        targets: &mut Targets,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        self.warming = warming;
        let (started, stop) = (Instant::now(), Stop::default());
        let mut pacer = self.pacer.take().context("the timetable is lost")?;
        let (tell, told_to_stop) = (self.tell.clone(), Arc::clone(&stop.0));
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || {
                pacer.run(started + time, &told_to_stop, |over| {
                    tell.send(Event::TurnOver(over)).ok(); // nobody listens any more
                });
                tell.send(Event::Over(pacer)).ok();
            })?;
        let mut tick = interval(Duration::from_millis(100));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.pacer.is_none() {
            tokio::select! {
                Some(event) = self.told.recv() => self.take(event),
                _ = tick.tick() => {
                    targets.check()?;
                    progress.show(started.elapsed(), self.tally.counts());
                }
            }
            if self.is_hopeless() {
                stop.0.store(true, Ordering::Relaxed);
            }
        }
        self.drain().await;
        Ok(())
    }

    /// Waits for what is still to come. What does not come is given up.
    async fn drain(&mut self) {
        let end = Instant::now() + DRAIN;
        while !self.rounds.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(Some(event)) = timeout(left, self.told.recv()).await else {
                break;
            };
            self.take(event);
        }
        let proxies = self.lanes.len() - 2; // beside direct and null
        for (arm, lane) in Arm::all(proxies).into_iter().zip(&self.lanes) {
            let turn = Turn {
                unsent: lane.clear() as u64,
                ..Turn::default()
            };
            if !self.warming {
                self.tally.took(arm, &turn);
            }
        }
        while let Some((_, round)) = self.rounds.pop_first() {
            self.end_round(round, false);
        }
        self.first = self.pacer.as_ref().map_or(0, Pacer::next_round);
    }

    fn take(&mut self, event: Event) {
        let number = match event {
            Event::Over(pacer) => {
                self.pacer = Some(pacer);
                return;
            }
            Event::TurnOver(TurnOver { round, arm, turn }) => {
                let number = round;
                let round = self.rounds.entry(round).or_default();
                round.turns.push((arm, turn));
                number
            }
            Event::Ended { round, arm, sample } => {
                let number = round;
                let round = self.rounds.entry(round).or_default();
                round.samples.push((arm, sample));
                number
            }
        };
        if number < self.first {
            self.rounds.remove(&number); // given up before
            return;
        }
        let arms = self.lanes.len();
        if self
            .rounds
            .get(&number)
            .is_some_and(|round| round.is_whole(arms))
            && let Some(round) = self.rounds.remove(&number)
        {
            self.end_round(round, true);
        }
    }

    fn end_round(&mut self, round: Round, whole: bool) {
        for (arm, turn) in &round.turns {
            if !self.warming {
                self.tally.took(*arm, turn);
            }
        }
        let silent = round.has_silent_arm();
        let whole = whole && round.turns.iter().all(|(_, turn)| turn.unsent == 0);
        for (arm, sample) in round.samples {
            self.tally.record(arm, &[sample], self.warming);
        }
        self.hopeless = if silent { self.hopeless + 1 } else { 0 };
        let counts = whole && !self.warming;
        self.tally.end_round(counts);
        self.measured += u64::from(counts);
    }

    /// What was counted so far.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What was counted in all.
    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Rounds measured to their end.
    pub(super) fn measured(&self) -> u64 {
        self.measured
    }

    /// Whether a target has stopped answering.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless >= HOPELESS
    }
}

/// Also when the run is dropped, its thread comes to its end.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the calls of `lane`, one after the other.
async fn work(
    plan: Plan,
    client: QuerierClient,
    arm: Arm,
    lane: Arc<Lane>,
    tell: UnboundedSender<Event>,
) {
    loop {
        let Some(due) = lane.pop().await else {
            continue;
        };
        let outcome = plan.make(&client, due.call, Some(due.at)).await;
        let sample = Sample {
            call: due.call,
            outcome,
            in_turn: Instant::now() <= due.turn_ends,
        };
        let round = due.round;
        if tell.send(Event::Ended { round, arm, sample }).is_err() {
            return; // the run is over
        }
    }
}
