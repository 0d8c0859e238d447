//! Samples become figures.

use std::time::Duration;

use super::block::{Outcome, Sample};
use super::mix::{Kind, Mix};
use super::schedule::Arm;
use crate::report::{
    Difference, Distribution, Failure, KindReport, TargetReport, TargetTotals, ThroughReport,
    Totals,
};
use crate::stats::{Latencies, median};

/// Everything counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// One for each of [`Kind::ALL`].
    kinds: Vec<KindTally>,
    /// One for each of [`Arm::all`].
    turns: Vec<Turns>,
    /// The proxies' names.
    proxies: Vec<String>,
    compared_bytes: u64,
}

#[derive(Debug)]
struct KindTally {
    /// One for each of [`Arm::all`].
    arms: Vec<ArmTally>,
    /// The first calls that went wrong: `true` with those that had no answer, `false` with those
    /// that had another.
    failures: Vec<(bool, Failure)>,
}

/// The turns of one arm, warm-up excluded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    /// How long they took together.
    pub(super) time: Duration,
    /// CPU time of the whole machine meanwhile.
    pub(super) machine: Duration,
    /// Calls made in them.
    pub(super) requests: u64,
    /// Those of them that were answered.
    pub(super) answered: u64,
    /// Size of the answers, bytes.
    pub(super) bytes: u64,
}

/// Calls kept in full, of each kind and each way to go wrong.
const MOST_FAILURES: usize = 3;

#[derive(Debug, Default)]
struct ArmTally {
    latencies: Latencies,
    requests: u64,
    failed: u64,
    different: u64,
    /// Latencies of this round, nanoseconds.
    round: Vec<f64>,
    /// Differences to the direct arm in nanoseconds, one for each round in which both have a
    /// good answer.
    added: Vec<f64>,
}

impl Tally {
    /// Nothing counted yet, of direct calls and those through `proxies`.
    pub(super) fn new(proxies: &[String]) -> Self {
        let arms = Arm::all(proxies.len());
        let kind = |_| KindTally {
            arms: arms.iter().map(|_| ArmTally::default()).collect(),
            failures: Vec::new(),
        };
        Self {
            kinds: Kind::ALL.iter().map(kind).collect(),
            turns: vec![Turns::default(); arms.len()],
            proxies: proxies.to_vec(),
            compared_bytes: 0,
        }
    }

    /// Counts what `arm` did in this round. Where `warming`, errors count and latencies do not.
    pub(super) fn record(&mut self, mix: &Mix, arm: Arm, samples: &[Sample], warming: bool) {
        let turns = &mut self.turns[arm.place()];
        for Sample { call, outcome } in samples {
            let call = &mix.calls()[*call];
            turns.requests += u64::from(!warming);
            let kind = &mut self.kinds[call.kind as usize];
            let tally = &mut kind.arms[arm.place()];
            tally.requests += 1;
            let what = match outcome {
                Outcome::Answered {
                    latency,
                    bytes,
                    mismatch,
                } => {
                    self.compared_bytes += *bytes as u64;
                    if !warming {
                        turns.answered += 1;
                        turns.bytes += *bytes as u64;
                        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
                        tally.latencies.record(nanoseconds);
                        tally.round.push(nanoseconds as f64);
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

    /// Counts what a turn of `arm` took, with the CPU time of the whole machine meanwhile.
    pub(super) fn took(&mut self, arm: Arm, time: Duration, machine: Duration) {
        let turns = &mut self.turns[arm.place()];
        turns.time += time;
        turns.machine += machine;
    }

    /// What `arm` did so far, warm-up excluded.
    pub(super) fn turns(&self, arm: Arm) -> Turns {
        self.turns[arm.place()]
    }

    /// Ends a round. Its medians are paired when it is `whole`: when every arm made every call.
    pub(super) fn end_round(&mut self, whole: bool) {
        for kind in &mut self.kinds {
            let medians = kind.arms.iter_mut().map(|arm| {
                let median = median(&mut std::mem::take(&mut arm.round));
                (median, &mut arm.added)
            });
            let mut medians: Vec<_> = medians.collect();
            let Some(direct) = medians[Arm::Direct.place()].0.filter(|_| whole) else {
                continue;
            };
            for (median, added) in &mut medians {
                added.extend(median.map(|median| median - direct));
            }
        }
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
        let differs = |kind: &&Kind| {
            let arms = &self.kinds[**kind as usize].arms;
            arms[Arm::Direct.place()].different + arms[Arm::Null.place()].different > 0
        };
        Kind::ALL.iter().filter(differs).copied().collect()
    }

    /// All kinds together, a row for each arm.
    pub(super) fn targets(&self) -> Vec<TargetTotals> {
        let arms = Arm::all(self.proxies.len()).into_iter();
        arms.map(|arm| self.turns(arm).report(name(arm, &self.proxies)))
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
        for (kind, mut tally) in Kind::ALL.into_iter().zip(self.kinds) {
            let is_excused = excused.contains(&kind);
            let kept = std::mem::take(&mut tally.failures).into_iter();
            failures.extend(
                kept.filter(|(is_failure, _)| *is_failure || !is_excused)
                    .map(|(_, failure)| failure),
            );
            let row = tally.report(kind, is_excused, &self.proxies);
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

impl Turns {
    fn report(self, target: &str) -> TargetTotals {
        TargetTotals {
            target: target.to_owned(),
            requests: self.requests,
            answer_bytes: self.bytes,
            offered_per_s: None,
            achieved_per_s: self.answered as f64 / self.time.as_secs_f64().max(1e-9),
            unsent: 0,
            machine_cpu_us_per_request: self.machine.as_secs_f64() * 1e6
                / self.requests.max(1) as f64,
        }
    }
}

impl KindTally {
    fn report(mut self, kind: Kind, is_excused: bool, proxies: &[String]) -> KindReport {
        let mut arm = |arm: Arm| {
            let arm = &mut self.arms[arm.place()];
            (
                arm.report(is_excused),
                Difference::of(std::mem::take(&mut arm.added)),
            )
        };
        let through = proxies.iter().enumerate().map(|(place, name)| {
            let (calls, added) = arm(Arm::Through(place));
            ThroughReport {
                proxy: name.clone(),
                calls,
                added,
            }
        });
        let through = through.collect();
        let (null, noise) = arm(Arm::Null);
        KindReport {
            kind: kind.to_string(),
            direct: arm(Arm::Direct).0,
            null,
            noise,
            through,
        }
    }
}

impl ArmTally {
    fn report(&self, is_excused: bool) -> TargetReport {
        TargetReport {
            requests: self.requests,
            errors: self.failed + if is_excused { 0 } else { self.different },
            different: self.different,
            latency: Distribution::of(&self.latencies),
            service: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::compare::Mismatch;
    use super::*;

    fn good(call: usize, microseconds: u64) -> Sample {
        let latency = Duration::from_micros(microseconds);
        let outcome = Outcome::Answered {
            latency,
            bytes: 10,
            mismatch: None,
        };
        Sample { call, outcome }
    }

    #[test]
    fn rounds_are_paired() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new(&["relay".to_owned()]);
        for round in 0..10 {
            // The machine is slower in each round; what the proxy adds stays the same.
            let base = 100 * (round + 1);
            tally.record(
                &mix,
                Arm::Direct,
                &[good(0, base), good(0, base + 4)],
                false,
            );
            tally.record(
                &mix,
                Arm::Through(0),
                &[good(0, base + 30), good(0, base + 34)],
                false,
            );
            tally.record(&mix, Arm::Null, &[good(0, base + 2)], false);
            tally.end_round(true);
        }
        assert_eq!(tally.requests(Arm::Through(0)), 20);
        let (rows, totals, failures) = tally.report(&[]);
        assert_eq!((rows.len(), totals.requests, failures.len()), (1, 50, 0));
        let added = rows[0].through[0].added.as_ref().unwrap();
        assert_eq!(
            (added.median_ns, added.low_ns, added.high_ns),
            (30e3, 30e3, 30e3)
        );
        assert_eq!(rows[0].noise.as_ref().unwrap().median_ns, 0.0);
        assert_eq!(rows[0].stands_out(&rows[0].through[0]), Some(true));
    }

    #[test]
    fn a_round_without_a_partner_makes_no_pair() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new(&["relay".to_owned()]);
        tally.record(&mix, Arm::Direct, &[good(0, 1)], false);
        tally.end_round(true);
        tally.record(&mix, Arm::Through(0), &[good(0, 1)], false);
        tally.end_round(true);
        tally.record(&mix, Arm::Direct, &[good(0, 1)], false);
        tally.record(&mix, Arm::Through(0), &[good(0, 1)], false);
        tally.end_round(false);
        let added = |kind: &KindTally| kind.arms[Arm::Through(0).place()].added.len();
        assert!(tally.kinds.iter().all(|kind| added(kind) == 0));
    }

    fn different(call: usize) -> Sample {
        let mismatch = Mismatch {
            offset: 7,
            expected: 9,
            received: 9,
        };
        let outcome = Outcome::Answered {
            latency: Duration::ZERO,
            bytes: 9,
            mismatch: Some(mismatch),
        };
        Sample { call, outcome }
    }

    fn failed(call: usize) -> Sample {
        let outcome = Outcome::Failed(tonic::Status::unavailable("refused"));
        Sample { call, outcome }
    }

    #[test]
    fn failures_and_differences_are_errors_even_while_warming() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new(&["relay".to_owned()]);
        tally.record(&mix, Arm::Through(0), &[different(0), failed(1)], true);
        assert_eq!((tally.counts(), tally.unsteady().len()), ((2, 2), 0));

        let (_, totals, failures) = tally.report(&[]);
        assert_eq!((totals.errors, totals.different), (2, 1));
        assert_eq!(failures[0].call, mix.calls()[0].to_string());
        assert!(failures[0].what.contains("byte 7"), "{}", failures[0].what);
        assert!(failures[1].what.contains("refused"), "{}", failures[1].what);
    }

    #[test]
    fn a_kind_that_changes_by_itself_can_be_excused() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new(&["relay".to_owned()]);
        tally.record(&mix, Arm::Through(0), &[different(0), failed(0)], false);
        tally.record(&mix, Arm::Null, &[different(0)], false);
        let unsteady = tally.unsteady();
        assert_eq!(unsteady, [mix.calls()[0].kind]);
        let (_, totals, failures) = tally.report(&unsteady);
        assert_eq!((totals.errors, totals.different), (1, 2));
        assert_eq!(failures.len(), 1);
    }
}
