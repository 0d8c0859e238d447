//! Samples become figures.

mod report;
mod tail;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use self::report::Context;
use self::tail::Rounds;
pub(super) use self::turns::{Turn, Turns};
use super::block::{Outcome, Sample};
use super::kind::Kind;
use super::mix::Mix;
use super::schedule::Arm;
use crate::report::{Failure, KindReport, TargetTotals, Totals};
use crate::stats::{Latencies, median};

/// Everything counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    mix: Arc<Mix>,
    /// One for each of [`Mix::kinds`].
    kinds: Vec<KindTally>,
    /// One for each of [`Arm::all`].
    turns: Vec<Turns>,
    /// The proxies' names.
    proxies: Vec<String>,
    compared_bytes: u64,
    /// Whether calls begin at their time, and service times are worth telling.
    is_open: bool,
    /// Whole rounds so far.
    rounds: u32,
}

#[derive(Debug)]
struct KindTally {
    /// One for each of [`Arm::all`].
    arms: Vec<ArmTally>,
    /// The first calls that went wrong: `true` with those that had no answer, `false` with those
    /// that had another.
    failures: Vec<(bool, Failure)>,
}

/// Calls kept in full, of each kind and each way to go wrong.
const MOST_FAILURES: usize = 3;

#[derive(Debug, Default)]
struct ArmTally {
    latencies: Latencies,
    services: Latencies,
    requests: u64,
    failed: u64,
    different: u64,
    /// Latencies of this round, nanoseconds.
    round: Vec<f64>,
    /// Differences to the direct arm in nanoseconds, one for each round in which both have a
    /// good answer.
    added: Vec<f64>,
    /// The latencies of whole rounds.
    rounds: Rounds,
}

impl Tally {
    /// Nothing counted yet, of direct calls and those through `proxies`.
    pub(super) fn new(mix: Arc<Mix>, proxies: &[String], is_open: bool) -> Self {
        let arms = Arm::all(proxies.len());
        let kind = |_| KindTally {
            arms: arms.iter().map(|_| ArmTally::default()).collect(),
            failures: Vec::new(),
        };
        Self {
            kinds: mix.kinds().iter().map(kind).collect(),
            mix,
            turns: vec![Turns::default(); arms.len()],
            proxies: proxies.to_vec(),
            compared_bytes: 0,
            is_open,
            rounds: 0,
        }
    }

    /// Counts what `arm` did in this round. Where `warming`, errors count and latencies do not.
    pub(super) fn record(&mut self, arm: Arm, samples: &[Sample], warming: bool) {
        let turns = &mut self.turns[arm.place()];
        for sample in samples {
            let Sample { call, outcome, .. } = sample;
            let kind = &mut self.kinds[self.mix.kind_of(*call)];
            let call = &self.mix.calls()[*call];
            turns.requests += u64::from(!warming);
            let tally = &mut kind.arms[arm.place()];
            tally.requests += 1;
            let what = match outcome {
                Outcome::Answered {
                    latency,
                    service,
                    bytes,
                    mismatch,
                } => {
                    self.compared_bytes += *bytes as u64;
                    if !warming {
                        turns.answered += u64::from(sample.in_turn);
                        turns.bytes += *bytes as u64;
                        tally.latencies.record(nanoseconds(*latency));
                        tally.services.record(nanoseconds(*service));
                        tally.round.push(nanoseconds(*latency) as f64);
                    }
                    let Some(mismatch) = mismatch else { continue };
                    tally.different += 1;
                    mismatch.to_string()
                }
                Outcome::Failed(status) => {
                    tally.failed += 1;
                    format!("{:?}: {}", status.code(), status.message())
                }
            };
            let is_failure = outcome.is_failure();
            let kept = kind
                .failures
                .iter()
                .filter(|(failure, _)| *failure == is_failure);
            if kept.count() < MOST_FAILURES {
                let failure = Failure {
                    call: call.to_string(),
                    target: name(arm, &self.proxies).to_owned(),
                    what,
                };
                kind.failures.push((is_failure, failure));
            }
        }
    }

    /// Counts a turn of `arm`, but for its answers.
    pub(super) fn took(&mut self, arm: Arm, turn: &Turn) {
        self.turns[arm.place()].add(turn);
    }

    /// What `arm` did so far, warm-up excluded.
    pub(super) fn turns(&self, arm: Arm) -> Turns {
        self.turns[arm.place()]
    }

    /// Ends a round. It makes pairs when it is `whole`: when every arm made every call.
    pub(super) fn end_round(&mut self, whole: bool) {
        for kind in &mut self.kinds {
            let medians = kind.arms.iter_mut().map(|arm| {
                let mut round = std::mem::take(&mut arm.round);
                if whole {
                    arm.rounds.add(self.rounds, &round);
                }
                (median(&mut round), &mut arm.added)
            });
            let mut medians: Vec<_> = medians.collect();
            let Some(direct) = medians[Arm::Direct.place()].0.filter(|_| whole) else {
                continue;
            };
            for (median, added) in &mut medians {
                added.extend(median.map(|median| median - direct));
            }
        }
        self.rounds += u32::from(whole);
    }

    /// Calls that `arm` made, errors among them.
    pub(super) fn requests(&self, arm: Arm) -> u64 {
        self.kinds
            .iter()
            .map(|kind| kind.arms[arm.place()].requests)
            .sum()
    }

    /// Calls made so far, and how many of them failed or had another answer.
    pub(super) fn counts(&self) -> (u64, u64) {
        let arms = self.kinds.iter().flat_map(|kind| &kind.arms);
        arms.fold((0, 0), |(requests, wrong), arm| {
            (requests + arm.requests, wrong + arm.failed + arm.different)
        })
    }

    /// Kinds whose answers differ between two direct connections: the backend itself changes them.
    pub(super) fn unsteady(&self) -> Vec<Kind> {
        let kinds = self.mix.kinds().iter().zip(&self.kinds);
        let unsteady = kinds.filter(|(_, tally)| {
            let [direct, null] = [Arm::Direct, Arm::Null].map(|arm| &tally.arms[arm.place()]);
            direct.different + null.different > 0
        });
        unsteady.map(|(kind, _)| *kind).collect()
    }

    /// All kinds together, a row for each arm.
    pub(super) fn targets(&self) -> Vec<TargetTotals> {
        let arms = Arm::all(self.proxies.len()).into_iter();
        arms.map(|arm| {
            self.turns(arm)
                .report(name(arm, &self.proxies), self.is_open)
        })
        .collect()
    }

    /// The rows of the kinds that were called, the sums, and the first failures. Another answer is
    /// an error, except for the kinds that are `excused`.
    pub(super) fn report(self, excused: &[Kind]) -> (Vec<KindReport>, Totals, Vec<Failure>) {
        let (mut rows, mut failures) = (Vec::new(), Vec::new());
        let mut totals = Totals {
            compared_bytes: self.compared_bytes,
            ..Totals::default()
        };
        let context = Context {
            proxies: &self.proxies,
            is_open: self.is_open,
            rounds: self.rounds,
        };
        for (&kind, mut tally) in self.mix.kinds().iter().zip(self.kinds) {
            let is_excused = excused.contains(&kind);
            let kept = std::mem::take(&mut tally.failures).into_iter();
            failures.extend(
                kept.filter(|(is_failure, _)| *is_failure || !is_excused)
                    .map(|(_, failure)| failure),
            );
            let row = tally.report(kind, is_excused, &context);
            for target in row.targets() {
                totals.requests += target.requests;
                totals.errors += target.errors;
                totals.different += target.different;
            }
            if row.targets().any(|target| target.requests > 0) {
                rows.push(row);
            }
        }
        (rows, totals, failures)
    }
}

/// As reports name `arm`.
fn name(arm: Arm, proxies: &[String]) -> &str {
    match arm {
        Arm::Direct => "direct",
        Arm::Null => "null",
        Arm::Through(proxy) => &proxies[proxy],
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
