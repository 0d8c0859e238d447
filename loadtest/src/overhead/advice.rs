//! What to know before trusting the figures of `overhead`.

use std::time::Duration;

use super::rounds::Rounds;
use super::targets::Targets;
use crate::cli::OverheadArgs;
use crate::report::{KindReport, TargetTotals};
use crate::warning::{SATURATED, Surroundings, Warning};

/// What happens beside the measurement.
#[derive(Debug)]
pub(super) struct Watchman {
    surroundings: Surroundings,
    /// What everybody had used when it began: see [`Used`].
    began: Used,
}

/// CPU time used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// By the whole machine.
    pub(super) machine: Duration,
    /// By this process.
    pub(super) client: Duration,
    /// By all that take part, where all of them are known.
    pub(super) known: Option<Duration>,
}

/// What the watchman saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// CPU time of this process, as a share of what its threads could use.
    pub(super) client_load: f64,
    /// What to know.
    pub(super) warnings: Vec<Warning>,
}

impl Watchman {
    /// Begins to look.
    ///
    /// # Errors
    /// When a process of `targets` has ended.
    pub(super) fn new(targets: &Targets) -> anyhow::Result<Self> {
        Ok(Self {
            surroundings: Surroundings::new(),
            began: targets.used()?,
        })
    }

    /// What it saw in all this `time`, with so many threads of the client.
    ///
    /// # Errors
    /// When a process of `targets` has ended.
    pub(super) fn seen(
        &self,
        targets: &Targets,
        time: Duration,
        threads: usize,
    ) -> anyhow::Result<Seen> {
        let (time, now) = (time.as_secs_f64(), targets.used()?);
        let spent =
            |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / time;
        let machine = spent(self.began.machine, now.machine);
        let known = self.began.known.zip(now.known);
        let others = known.map(|(before, after)| machine - spent(before, after));
        let client_load = spent(self.began.client, now.client) / threads as f64;
        let mut warnings = self.surroundings.warnings(others);
        if client_load > SATURATED {
            warnings.push(Warning::Saturated("client", String::new()));
        }
        Ok(Seen {
            client_load,
            warnings,
        })
    }
}

/// What the rounds themselves tell.
pub(super) fn of_rounds(
    args: &OverheadArgs,
    rounds: u64,
    is_hopeless: bool,
    kinds: &[KindReport],
    totals: &[TargetTotals],
) -> Vec<Warning> {
    const FEW_ROUNDS: u64 = 50;
    const MET: f64 = 0.95; // of the rate
    let more = format!(
        "--duration (now {})",
        humantime::format_duration(args.duration)
    );
    let mut warnings = Vec::new();
    if cfg!(debug_assertions) {
        warnings.push(Warning::Unoptimised);
    }
    if is_hopeless {
        warnings.push(Warning::CutShort);
    } else if rounds < FEW_ROUNDS {
        warnings.push(Warning::FewRounds(rounds, more.clone()));
    }
    for TargetTotals {
        target,
        offered_per_s,
        achieved_per_s,
        unsent,
        ..
    } in totals
    {
        if let Some(offered) = offered_per_s.filter(|offered| *achieved_per_s < offered * MET) {
            warnings.push(Warning::RateMissed(
                target.clone(),
                offered,
                *achieved_per_s,
            ));
        }
        if *unsent > 0 {
            warnings.push(Warning::Unsent(target.clone(), *unsent));
        }
    }
    let hidden = kinds.iter().filter(|kind| {
        let mut through = kind.through.iter();
        through.any(|through| kind.stands_out(through) == Some(false))
    });
    let hidden: Vec<&str> = hidden.map(|kind| kind.kind.as_str()).collect();
    if !hidden.is_empty() {
        let whose = format!("for {}", hidden.join("; "));
        warnings.push(Warning::Noise(whose, more));
    }
    warnings
}

/// The kinds whose answers change by themselves. The stand-in has no excuse: its answers follow from
/// the seed.
pub(super) fn unsteady(rounds: &Rounds, targets: &Targets) -> Vec<super::kind::Kind> {
    match targets.has_standin() {
        true => Vec::new(),
        false => rounds.tally().unsteady(),
    }
}
