//! Rounds of either kind, for as long as they are wanted.

use std::time::Duration;

use super::closed::Closed;
use super::open::Open;
use super::progress::Progress;
use super::tally::Tally;
use super::targets::Targets;

/// A run under way.
pub(super) enum Rounds {
    /// A call begins when another has ended.
    Closed(Box<Closed>),
    /// Calls begin at their time.
    Open(Box<Open>),
}

impl Rounds {
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
        match self {
            Self::Closed(rounds) => rounds.run_for(time, warming, targets, progress).await,
            Self::Open(rounds) => rounds.run_for(time, warming, targets, progress).await,
        }
    }

    /// What was counted so far.
    pub(super) fn tally(&self) -> &Tally {
        match self {
            Self::Closed(rounds) => rounds.tally(),
            Self::Open(rounds) => rounds.tally(),
        }
    }

    /// What was counted in all.
    pub(super) fn into_tally(self) -> Tally {
        match self {
            Self::Closed(rounds) => rounds.into_tally(),
            Self::Open(rounds) => rounds.into_tally(),
        }
    }

    /// Rounds measured to their end.
    pub(super) fn measured(&self) -> u64 {
        match self {
            Self::Closed(rounds) => rounds.measured(),
            Self::Open(rounds) => rounds.measured(),
        }
    }

    /// Whether a target has stopped answering.
    pub(super) fn is_hopeless(&self) -> bool {
        match self {
            Self::Closed(rounds) => rounds.is_hopeless(),
            Self::Open(rounds) => rounds.is_hopeless(),
        }
    }
}
