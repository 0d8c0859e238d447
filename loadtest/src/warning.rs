//! What to know before trusting the figures of a run: each warning says what to do about it.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::time::{Duration, Instant};

use crate::process::machine;

/// One thing to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Warning {
    /// Built without optimisation.
    Unoptimised,
    /// A target stopped answering.
    CutShort,
    /// Rounds, where more would tell more; how to get them.
    FewRounds(u64, String),
    /// Some figure has fewer than six rounds; how to get more.
    NoInterval(String),
    /// Where noise hides the difference; how to get more rounds.
    Noise(String, String),
    /// Who used how much of its threads' time, and in which part of the run.
    Saturated(&'static str, String),
    /// A target that was offered so many calls a second and achieved so many.
    RateMissed(String, f64, f64),
    /// A target, and how many of its calls were never made: too many waited when their time came,
    /// or they still waited long after the end.
    Unsent(String, u64),
    /// A kind of call whose answers the backend itself changes.
    Unsteady(String),
    /// No trace above 256 KiB.
    NoLargeTrace,
    /// A call that was left out, and why.
    LeftOut(String, String),
    /// CPUs that other processes kept busy.
    Others(f64),
    /// CPUs that other virtual machines took.
    Stolen(f64),
    /// The frequency governor.
    Governor(String),
    /// A condition of `--fail-if` whose figure is beyond its bound, but not surely.
    Unsure(String, String),
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unoptimised => f.write_str(
                "loadtest was built without optimisation: client and server are slow and noisy; \
                 use --release",
            ),
            Self::CutShort => {
                f.write_str("a target stopped answering, so the run was cut short; see its errors")
            }
            Self::FewRounds(rounds, more) => write!(
                f,
                "only {rounds} rounds: intervals are wide or missing; raise {more}"
            ),
            Self::NoInterval(more) => {
                write!(f, "fewer than 6 rounds have no 95 % interval; raise {more}")
            }
            Self::Noise(whose, more) => write!(
                f,
                "noise hides the difference {whose}; raise {more}, or quiet the machine"
            ),
            Self::Saturated(who, how) => write!(
                f,
                "the {who} used over {:.0} % of its threads' time{how}: there it may be the \
                 bottleneck, and differences come out too small; lower the load, or give it more \
                 CPUs",
                SATURATED * 100.0
            ),
            Self::RateMissed(target, offered, achieved) => write!(
                f,
                "{target} missed the rate: {achieved:.0} calls/s of {offered:.0}, so its response \
                 times tell how long it was overloaded; lower --rate"
            ),
            Self::Unsent(target, calls) => write!(
                f,
                "{calls} calls to {target} were never made, for too many waited before them; its \
                 percentiles would be higher with them; lower --rate"
            ),
            Self::Unsteady(kind) => write!(
                f,
                "{kind}: two direct reads differ, so the backend's own answers change; a \
                 difference through the proxy proves nothing here and counts as no error"
            ),
            Self::NoLargeTrace => {
                f.write_str("no trace above 256 KiB was found; name one with --trace-id HEX")
            }
            Self::LeftOut(call, why) => {
                write!(f, "{call} is left out, for the backend itself fails: {why}")
            }
            Self::Others(cpus) => write!(
                f,
                "other processes kept {cpus:.1} CPUs busy meanwhile; stop them"
            ),
            Self::Stolen(cpus) => write!(
                f,
                "other virtual machines took {cpus:.2} CPUs from this one; measure elsewhere, or \
                 for longer"
            ),
            Self::Governor(name) => write!(
                f,
                "the CPU's frequency governor is '{name}'; 'performance' gives steadier figures"
            ),
            Self::Unsure(condition, figure) => write!(
                f,
                "--fail-if '{condition}': {figure} is beyond the bound, but not all of its \
                 interval is, so it does not count; more rounds would tell"
            ),
        }
    }
}

/// A share of its threads' time from which on somebody counts as saturated.
pub(crate) const SATURATED: f64 = 0.95;

/// What happens on the machine beside a run.
#[derive(Debug)]
pub(crate) struct Surroundings {
    began: Instant,
    stolen: Duration,
}

impl Surroundings {
    /// Begins to look.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            stolen: machine::stolen(),
        }
    }

    /// What was seen. `others` is how many CPUs everybody else kept busy, where that is known.
    pub(crate) fn warnings(&self, others: Option<f64>) -> Vec<Warning> {
        const MOST_OTHERS: f64 = 0.1; // CPUs
        const MOST_STOLEN: f64 = 0.05; // CPUs
        let stolen = machine::stolen().saturating_sub(self.stolen);
        let stolen = stolen.as_secs_f64() / self.began.elapsed().as_secs_f64();
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let governor = fs::read_to_string(governor).unwrap_or_default();
        let governor = governor.trim();
        let is_steady = governor.is_empty() || governor == "performance";
        [
            others
                .filter(|others| *others > MOST_OTHERS)
                .map(Warning::Others),
            (stolen > MOST_STOLEN).then_some(Warning::Stolen(stolen)),
            (!is_steady).then(|| Warning::Governor(governor.to_owned())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_advise() {
        let missed = Warning::RateMissed("socat".to_owned(), 1_000.0, 612.4);
        assert_eq!(
            missed.to_string(),
            "socat missed the rate: 612 calls/s of 1000, so its response times tell how long it \
             was overloaded; lower --rate"
        );
        let few = Warning::FewRounds(7, "--duration (now 1s)".to_owned());
        assert!(few.to_string().ends_with("raise --duration (now 1s)"));
    }

    #[test]
    fn busy_neighbours_are_told_of_and_quiet_ones_are_not() {
        let surroundings = Surroundings::new();
        let others = |cpus| {
            let warnings = surroundings.warnings(cpus);
            warnings
                .iter()
                .any(|warning| matches!(warning, Warning::Others(_)))
        };
        assert_eq!(
            [others(Some(0.5)), others(Some(0.01)), others(None)],
            [true, false, false]
        );
    }
}
