//! What to know before trusting the figures of a run.

use super::block::Sample;
use crate::report::{Row, Scenario};
use crate::warning::{SATURATED, Surroundings, Warning};

/// Looks at what happens beside the measurement.
#[derive(Debug)]
pub(crate) struct Watchman {
    surroundings: Surroundings,
    /// CPU seconds of everybody else in the turns that tell, and how long those were.
    others: f64,
    others_in: f64,
    /// Turns in which the client, or the origin, had nearly no time left.
    saturated: [usize; 2],
    turns: usize,
}

impl Watchman {
    /// Begins to look.
    pub(crate) fn new() -> Self {
        Self {
            surroundings: Surroundings::new(),
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
            warnings.push(Warning::Unoptimised);
        }
        let others = self.others / self.others_in.max(1e-9);
        warnings.extend(self.surroundings.warnings(Some(others)));
        for (who, turns) in ["client", "origin"].into_iter().zip(self.saturated) {
            if turns * 10 > self.turns {
                let when = format!(" in {turns} of {} turns", self.turns);
                warnings.push(Warning::Saturated(who, when));
            }
        }
        let rows = || scenarios.iter().flat_map(|scenario| &scenario.rows);
        if rows().any(|row| row.rounds > 0 && row.rounds < 6 && row.idle.is_none()) {
            warnings.push(Warning::NoInterval(more.to_owned()));
        }
        let unclear = rows().filter(|row| is_unclear(row)).count();
        if unclear > 0 {
            let whose = format!(
                "in {unclear} rows (the interval of the ratio holds 1, and is wider than 10 %)"
            );
            warnings.push(Warning::Noise(whose, more.to_owned()));
        }
        warnings.iter().map(ToString::to_string).collect()
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
