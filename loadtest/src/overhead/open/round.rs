//! One round of open loop, whose calls end when they like.

use super::super::block::Sample;
use super::super::schedule::Arm;
use super::super::tally::Turn;

/// A round of which something is still to come.
#[derive(Default)]
pub(super) struct Round {
    /// Its turns that are over.
    pub(super) turns: Vec<(Arm, Turn)>,
    /// Its calls that have ended.
    pub(super) samples: Vec<(Arm, Sample)>,
}

impl Round {
    /// Whether all turns of `arms` arms are over and all their calls have ended.
    pub(super) fn is_whole(&self, arms: usize) -> bool {
        let sent = self
            .turns
            .iter()
            .map(|(_, turn)| turn.offered - turn.unsent);
        self.turns.len() == arms && sent.sum::<u64>() == self.samples.len() as u64
    }

    /// Whether an arm that made calls had no answer at all.
    pub(super) fn has_silent_arm(&self) -> bool {
        self.turns.iter().any(|(arm, _)| {
            let mut own = self.samples.iter().filter(|(own, _)| own == arm).peekable();
            own.peek().is_some() && own.all(|(_, sample)| sample.outcome.is_failure())
        })
    }
}
