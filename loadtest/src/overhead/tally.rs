//! Samples become figures.

use super::block::{Outcome, Sample};
use super::mix::{Kind, Mix};
use super::schedule::Arm;
use crate::report::{Difference, Failure, KindReport, TargetReport, Totals};
use crate::stats::{Latencies, median, median_interval};

/// Everything counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// One for each of [`Kind::ALL`].
    kinds: Vec<KindTally>,
    totals: Totals,
    failures: Vec<Failure>,
}

#[derive(Debug, Default)]
struct KindTally {
    /// One for each of [`Arm::ALL`].
    arms: [ArmTally; 3],
    /// Differences to the direct arm in nanoseconds, one for each round in which both have a
    /// good answer.
    added: Vec<f64>,
    noise: Vec<f64>,
}

#[derive(Debug, Default)]
struct ArmTally {
    latencies: Latencies,
    requests: u64,
    errors: u64,
    different: u64,
    /// Latencies of this round, nanoseconds.
    round: Vec<f64>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            kinds: Kind::ALL.iter().map(|_| KindTally::default()).collect(),
            totals: Totals::default(),
            failures: Vec::new(),
        }
    }

    /// Counts what `arm` did in this round. Where `warming`, errors count and latencies do not.
    pub(super) fn record(&mut self, mix: &Mix, arm: Arm, samples: &[Sample], warming: bool) {
        const MOST_FAILURES: usize = 10;
        for Sample { call, outcome } in samples {
            let call = &mix.calls()[*call];
            let tally = &mut self.kinds[call.kind as usize].arms[arm.place()];
            tally.requests += 1;
            self.totals.requests += 1;
            let what = match outcome {
                Outcome::Good { latency, bytes } => {
                    self.totals.compared_bytes += *bytes as u64;
                    if !warming {
                        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
                        tally.latencies.record(nanoseconds);
                        tally.round.push(nanoseconds as f64);
                    }
                    continue;
                }
                Outcome::Different(mismatch) => {
                    tally.different += 1;
                    self.totals.different += 1;
                    self.totals.compared_bytes += mismatch.received as u64;
                    mismatch.to_string()
                }
                Outcome::Failed(status) => format!("{}: {}", status.code(), status.message()),
            };
            tally.errors += 1;
            self.totals.errors += 1;
            if self.failures.len() < MOST_FAILURES {
                self.failures.push(Failure {
                    call: call.to_string(),
                    target: arm.name().to_owned(),
                    what,
                });
            }
        }
    }

    /// Ends a round. Its medians are paired when it is `whole`: when every arm made every call.
    pub(super) fn end_round(&mut self, whole: bool) {
        for kind in &mut self.kinds {
            let [direct, through, null] = kind
                .arms
                .each_mut()
                .map(|arm| median(&mut std::mem::take(&mut arm.round)));
            let Some(direct) = direct.filter(|_| whole) else {
                continue;
            };
            kind.added.extend(through.map(|through| through - direct));
            kind.noise.extend(null.map(|null| null - direct));
        }
    }

    /// Calls that `arm` made, errors among them.
    pub(super) fn requests(&self, arm: Arm) -> u64 {
        self.kinds
            .iter()
            .map(|kind| kind.arms[arm.place()].requests)
            .sum()
    }

    /// Sums over all kinds and arms.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Kinds whose answers differ between two direct connections: the backend itself changes them.
    pub(super) fn unsteady(&self) -> Vec<Kind> {
        let differs = |kind: &&Kind| {
            let arms = &self.kinds[**kind as usize].arms;
            arms[Arm::Direct.place()].different + arms[Arm::Null.place()].different > 0
        };
        Kind::ALL.iter().filter(differs).copied().collect()
    }

    /// The rows of the kinds that were called, the sums, and the first failures.
    pub(super) fn report(self) -> (Vec<KindReport>, Totals, Vec<Failure>) {
        let kinds = Kind::ALL.iter().zip(self.kinds);
        let called = kinds.filter(|(_, tally)| tally.arms.iter().any(|arm| arm.requests > 0));
        let rows = called.map(|(kind, tally)| tally.report(*kind)).collect();
        (rows, self.totals, self.failures)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl KindTally {
    fn report(mut self, kind: Kind) -> KindReport {
        let [direct, through, null] = self.arms.map(|arm| arm.report());
        KindReport {
            kind: kind.to_string(),
            direct,
            through,
            null,
            added: difference(&mut self.added),
            noise: difference(&mut self.noise),
        }
    }
}

impl ArmTally {
    fn report(&self) -> TargetReport {
        TargetReport {
            requests: self.requests,
            errors: self.errors,
            p50_ns: self.latencies.percentile(50.0),
            p90_ns: self.latencies.percentile(90.0),
            p99_ns: self.latencies.percentile(99.0),
            p999_ns: self.latencies.percentile(99.9),
            max_ns: self.latencies.max(),
        }
    }
}

fn difference(pairs: &mut [f64]) -> Option<Difference> {
    let interval = median_interval(pairs)?;
    Some(Difference {
        median_ns: interval.median,
        low_ns: interval.low,
        high_ns: interval.high,
        pairs: pairs.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::compare::Mismatch;
    use super::*;

    fn good(call: usize, microseconds: u64) -> Sample {
        let latency = Duration::from_micros(microseconds);
        let outcome = Outcome::Good { latency, bytes: 10 };
        Sample { call, outcome }
    }

    #[test]
    fn rounds_are_paired() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new();
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
                Arm::Through,
                &[good(0, base + 30), good(0, base + 34)],
                false,
            );
            tally.record(&mix, Arm::Null, &[good(0, base + 2)], false);
            tally.end_round(true);
        }
        assert_eq!(tally.requests(Arm::Through), 20);
        let (rows, totals, failures) = tally.report();
        assert_eq!((rows.len(), totals.requests, failures.len()), (1, 50, 0));
        let added = rows[0].added.as_ref().unwrap();
        assert_eq!(
            (added.median_ns, added.low_ns, added.high_ns),
            (30e3, 30e3, 30e3)
        );
        assert_eq!(rows[0].noise.as_ref().unwrap().median_ns, 0.0);
        assert_eq!(rows[0].stands_out(), Some(true));
    }

    #[test]
    fn a_round_without_a_partner_makes_no_pair() {
        let mix = Mix::for_standin(1);
        let mut tally = Tally::new();
        tally.record(&mix, Arm::Direct, &[good(0, 1)], false);
        tally.end_round(true);
        tally.record(&mix, Arm::Through, &[good(0, 1)], false);
        tally.end_round(true);
        tally.record(&mix, Arm::Direct, &[good(0, 1)], false);
        tally.record(&mix, Arm::Through, &[good(0, 1)], false);
        tally.end_round(false);
        assert!(tally.kinds.iter().all(|kind| kind.added.is_empty()));
    }

    #[test]
    fn failures_and_differences_are_errors_even_while_warming() {
        let mix = Mix::for_standin(1);
        let mismatch = Mismatch {
            offset: 7,
            expected: 9,
            received: 9,
        };
        let samples = [
            Sample {
                call: 0,
                outcome: Outcome::Different(mismatch),
            },
            Sample {
                call: 1,
                outcome: Outcome::Failed(tonic::Status::unavailable("refused")),
            },
        ];
        let mut tally = Tally::new();
        tally.record(&mix, Arm::Through, &samples, true);
        assert_eq!(tally.unsteady(), []);
        tally.record(&mix, Arm::Null, &samples[..1], true);
        assert_eq!(tally.unsteady(), [mix.calls()[0].kind]);

        let (_, totals, failures) = tally.report();
        assert_eq!((totals.errors, totals.different), (3, 2));
        assert_eq!(failures[0].call, mix.calls()[0].to_string());
        assert!(failures[0].what.contains("byte 7"), "{}", failures[0].what);
        assert!(failures[1].what.contains("refused"), "{}", failures[1].what);
    }
}
