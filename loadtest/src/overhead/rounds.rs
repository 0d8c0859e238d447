//! Rounds, one after the other, for as long as they are wanted.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::block::Plan;
use super::schedule::Schedule;
use super::tally::Tally;
use super::targets::Targets;
use crate::client::QuerierClient;
use crate::process::machine;

/// Rounds in a row without any answer from a target, after which a run gives up.
const HOPELESS: u32 = 3;

/// A run under way.
pub(super) struct Rounds<'a> {
    plan: &'a Plan,
    schedule: Schedule<'a>,
    /// Those of each arm, in the order of the arms.
    clients: &'a [Vec<QuerierClient>],
    tally: Tally,
    /// Rounds measured to their end.
    measured: u64,
    /// Rounds in a row in which an arm had no answer at all.
    hopeless: u32,
}

impl<'a> Rounds<'a> {
    /// No round yet.
    pub(super) fn new(
        plan: &'a Plan,
        clients: &'a [Vec<QuerierClient>],
        proxies: &[String],
        seed: u64,
    ) -> Self {
        Self {
            plan,
            schedule: Schedule::new(&plan.mix, proxies.len(), seed),
            clients,
            tally: Tally::new(proxies),
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
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let end = started + time;
        while Instant::now() < end && !self.is_hopeless() {
            self.round(warming, end).await?;
            targets.check()?;
            bar.set_position(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            let (calls, wrong) = self.tally.counts();
            bar.set_message(format!("{calls} calls, {wrong} errors"));
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
        let Some(round) = self.schedule.next() else {
            return Ok(());
        };
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
                self.tally.record(&self.plan.mix, arm, &samples, warming);
            }
            if !warming {
                let machine = machine::busy().saturating_sub(busy);
                self.tally.took(arm, began.elapsed(), machine);
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
