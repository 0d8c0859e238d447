//! Closed loop: rounds, one after the other. A call begins when another has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block::Plan;
use super::progress::Progress;
use super::schedule::Schedule;
use super::tally::{Tally, Turn};
use super::targets::Targets;
use crate::client::QuerierClient;
use crate::process::machine;

/// Rounds in a row without any answer from a target, after which a run gives up.
pub(super) const HOPELESS: u32 = 3;

/// A run under way.
pub(super) struct Closed {
    plan: Plan,
    schedule: Schedule,
    /// Those of each arm, in the order of the arms.
    clients: Vec<Vec<QuerierClient>>,
    tally: Tally,
    /// Rounds measured to their end.
    measured: u64,
    /// Rounds in a row in which an arm had no answer at all.
    hopeless: u32,
}

impl Closed {
    /// No round yet.
    pub(super) fn new(
        plan: Plan,
        clients: Vec<Vec<QuerierClient>>,
        proxies: &[String],
        seed: u64,
    ) -> Self {
        Self {
            schedule: Schedule::new(Arc::clone(&plan.mix), proxies.len(), seed),
            tally: Tally::new(Arc::clone(&plan.mix), proxies, false),
            plan,
            clients,
            measured: 0,
            hopeless: 0,
        }
    }

    /// Makes rounds for `time`, or until a target has stopped answering. While `warming`, errors
    /// count and latencies do not.
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
        let started = Instant::now();
        let end = started + time;
        while Instant::now() < end && !self.is_hopeless() {
            self.round(warming, end).await?;
            targets.check()?;
            progress.show(started.elapsed(), self.tally.counts());
        }
        Ok(())
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

    /// Makes one round. When `end` comes within it, its calls count and its medians do not.
    async fn round(&mut self, warming: bool, end: Instant) -> anyhow::Result<()> {
        let round = self.schedule.round();
        let (mut is_whole, mut has_silent_arm) = (true, false);
        for arm in round.order {
            let clients = &self.clients[arm.place()];
            let (mut calls, mut failures) = (0, 0);
            let (began, busy) = (Instant::now(), machine::busy());
            for part in &round.parts {
                let samples = self.plan.run_block(clients, part, end).await?;
                is_whole &= samples.len() == part.len();
                calls += samples.len();
                failures += samples
                    .iter()
                    .filter(|sample| sample.outcome.is_failure())
                    .count();
                self.tally.record(arm, &samples, warming);
            }
            if !warming {
                let turn = Turn {
                    time: began.elapsed(),
                    machine: machine::busy().saturating_sub(busy),
                    offered: calls as u64,
                    unsent: 0,
                };
                self.tally.took(arm, &turn);
            }
            has_silent_arm |= calls > 0 && failures == calls;
        }
        self.hopeless = if has_silent_arm { self.hopeless + 1 } else { 0 };
        let counts = is_whole && !warming;
        self.tally.end_round(counts);
        self.measured += u64::from(counts);
        Ok(())
    }
}
