//! Rows of the report.

use super::super::kind::Kind;
use super::super::schedule::Arm;
use super::{ArmTally, KindTally};
use crate::report::{Difference, Distribution, KindReport, TargetReport, ThroughReport};

/// What the rows of a report have in common.
pub(super) struct Context<'a> {
    /// The proxies' names.
    pub(super) proxies: &'a [String],
    /// Whether calls begin at their time.
    pub(super) is_open: bool,
    /// Whole rounds.
    pub(super) rounds: u32,
}

impl KindTally {
    /// The row of `kind`. Another answer is an error, unless that `is_excused`.
    pub(super) fn report(
        mut self,
        kind: Kind,
        is_excused: bool,
        context: &Context<'_>,
    ) -> KindReport {
        let direct = std::mem::take(&mut self.arms[Arm::Direct.place()]);
        let mut arm = |arm: Arm| {
            let arm = &mut self.arms[arm.place()];
            (
                arm.report(is_excused, context.is_open),
                Difference::of(std::mem::take(&mut arm.added)),
                direct.rounds.compare(&arm.rounds, context.rounds),
            )
        };
        let through = context.proxies.iter().enumerate().map(|(place, name)| {
            let (calls, added, added_tail) = arm(Arm::Through(place));
            ThroughReport {
                proxy: name.clone(),
                calls,
                added,
                added_tail,
            }
        });
        let through = through.collect();
        let (null, noise, _) = arm(Arm::Null);
        KindReport {
            kind: kind.to_string(),
            direct: direct.report(is_excused, context.is_open),
            null,
            noise,
            through,
        }
    }
}

impl ArmTally {
    fn report(&self, is_excused: bool, is_open: bool) -> TargetReport {
        TargetReport {
            requests: self.requests,
            errors: self.failed + if is_excused { 0 } else { self.different },
            different: self.different,
            latency: Distribution::of(&self.latencies),
            service: is_open.then(|| Distribution::of(&self.services)),
        }
    }
}
