//! What to know before trusting the figures of a run.

use std::fs;
use std::time::{Duration, Instant};

use super::block::Sample;
use crate::process::machine;
use crate::report::{Row, Scenario};

/// Looks at what happens beside the measurement.
#[derive(Debug)]
pub(crate) struct Watchman {
    began: Instant,
    stolen: Duration,
    /// CPU seconds of everybody else in the turns that tell, and how long those were.
    others: f64,
    others_in: f64,
    /// Turns in which the client, or the origin, had nearly no time left.
    saturated: [usize; 2],
    turns: usize,
}

/// A share of CPU time from which on a thread counts as saturated.
const SATURATED: f64 = 0.95;

impl Watchman {
    /// Begins to look.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            stolen: machine::stolen(),
            others: 0.0,
            others_in: 0.0,
            saturated: [0; 2],
            turns: 0,
        }
    }

    /// Looks at a turn.
    pub(crate) fn look(&mut self, sample: &Sample) {
        self.turns += 1;
        if let Some(others) = sample.others {
            self.others += others;
            self.others_in += sample.time.as_secs_f64();
        }
        self.saturated[0] += usize::from(sample.client_load > SATURATED);
        self.saturated[1] += usize::from(sample.origin_load.is_some_and(|load| load > SATURATED));
    }

    /// What it saw, and what `scenarios` themselves tell. `more` is how to get more rounds.
    pub(crate) fn warnings(&self, scenarios: &[Scenario], more: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        if cfg!(debug_assertions) {
            warnings.push(
                "loadtest was built without optimisation, so the client is slow; use --release"
                    .to_owned(),
            );
        }
        warnings.extend(self.about_the_machine());
        for (who, turns) in ["client", "origin"].iter().zip(self.saturated) {
            if turns * 10 > self.turns {
                warnings.push(format!(
                    "the {who} used over {:.0} % of its threads' time in {turns} of {} turns: there \
                     it may be the bottleneck, and ratios come out too near 1",
                    SATURATED * 100.0,
                    self.turns
                ));
            }
        }
        let rows = || scenarios.iter().flat_map(|scenario| &scenario.rows);
        if rows().any(|row| row.rounds > 0 && row.rounds < 6 && row.idle.is_none()) {
            warnings.push(format!(
                "fewer than 6 rounds have no 95 % interval; raise {more}"
            ));
        }
        let unclear = rows().filter(|row| is_unclear(row)).count();
        if unclear > 0 {
            warnings.push(format!(
                "noise hides the difference in {unclear} rows (the interval of the ratio holds 1, \
                 and is wider than 10 %); raise {more}, or quiet the machine"
            ));
        }
        warnings
    }

    fn about_the_machine(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let others = self.others / self.others_in.max(1e-9);
        if others > 0.1 {
            warnings.push(format!(
                "other processes kept {others:.1} CPUs busy meanwhile; stop them"
            ));
        }
        let stolen = machine::stolen().saturating_sub(self.stolen);
        let stolen = stolen.as_secs_f64() / self.began.elapsed().as_secs_f64();
        if stolen > 0.05 {
            warnings.push(format!(
                "other virtual machines took {stolen:.2} CPUs from this one"
            ));
        }
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let governor = fs::read_to_string(governor).unwrap_or_default();
        let governor = governor.trim();
        if !governor.is_empty() && governor != "performance" {
            warnings.push(format!(
                "the CPU's frequency governor is '{governor}'; 'performance' gives steadier figures"
            ));
        }
        warnings
    }
}

fn is_unclear(row: &Row) -> bool {
    row.comparisons.iter().any(|comparison| {
        let ratio = &comparison.ratio;
        let width = ratio.high.zip(ratio.low).map(|(high, low)| high - low);
        comparison.metric == "rate"
            && ratio.covers(1.0) == Some(true)
            && width.is_some_and(|width| width > 0.1)
    })
}
