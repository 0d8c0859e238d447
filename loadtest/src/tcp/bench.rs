//! Scenarios on targets, round by round.

use super::series::{Series, Unit};
use crate::report::{Comparison, Estimate, Scenario};

/// A table of series: a row of them for each scenario, a column for each target.
#[derive(Debug)]
pub(crate) struct Bench {
    scenarios: Vec<(String, Unit)>,
    targets: Vec<String>,
    series: Vec<Vec<Series>>,
}

/// Rounds in a row that may fail before a target is left alone with a scenario.
const HOPELESS: usize = 2;

impl Bench {
    /// Nothing measured yet.
    pub(crate) fn new(scenarios: Vec<(String, Unit)>, targets: Vec<String>) -> Self {
        let row = |_| targets.iter().map(|_| Series::default()).collect();
        Self {
            series: scenarios.iter().map(row).collect(),
            scenarios,
            targets,
        }
    }

    /// The rounds of a scenario on a target.
    pub(crate) fn series(&mut self, scenario: usize, target: usize) -> &mut Series {
        &mut self.series[scenario][target]
    }

    /// Whether a target has failed so often with a scenario that trying again is a waste.
    pub(crate) fn is_hopeless(&self, scenario: usize, target: usize) -> bool {
        self.series[scenario][target].failures_in_a_row() >= HOPELESS
    }

    /// The targets of round number `round`: each round begins one target further on.
    pub(crate) fn turns(&self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.targets.len();
        (0..count).map(move |turn| (round + turn) % count)
    }

    /// How the rates of one target compare with another's, all scenarios together: the geometric
    /// mean of each round.
    pub(crate) fn overall(&self, target: usize, base: usize) -> Option<Comparison> {
        let pairs: Vec<(&Series, &Series)> = self
            .series
            .iter()
            .map(|targets| (&targets[target], &targets[base]))
            .collect();
        let rounds = pairs.iter().map(|(own, _)| own.rounds()).max()?;
        let means = (0..rounds).filter_map(|round| {
            let logarithms = pairs
                .iter()
                .filter_map(|(own, base)| Some((own.rate(round)? / base.rate(round)?).ln()));
            let (count, sum) = logarithms.fold((0_u32, 0.0), |(count, sum), logarithm| {
                (count + 1, sum + logarithm)
            });
            (count > 0).then(|| (sum / f64::from(count)).exp())
        });
        Some(Comparison {
            base: self.targets[base].clone(),
            metric: "rate".to_owned(),
            ratio: Estimate::of(means.collect())?,
        })
    }

    /// The rows, each compared with the targets in `bases`.
    pub(crate) fn report(&self, bases: &[usize]) -> Vec<Scenario> {
        let scenarios = self.scenarios.iter().zip(&self.series);
        let report = scenarios.map(|((name, unit), series)| {
            let rows = series.iter().zip(&self.targets).enumerate();
            let rows = rows.map(|(place, (own, target))| {
                let bases: Vec<(&str, &Series)> = bases
                    .iter()
                    .filter(|&&base| base != place)
                    .map(|&base| (self.targets[base].as_str(), &series[base]))
                    .collect();
                own.row(target, &bases)
            });
            Scenario {
                name: name.clone(),
                unit: unit.name().to_owned(),
                rows: rows.collect(),
            }
        });
        report.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_begins_as_often() {
        let targets = ["a", "b", "c"].map(str::to_owned).to_vec();
        let bench = Bench::new(Vec::new(), targets);
        let turns = |round| bench.turns(round).collect::<Vec<_>>();
        assert_eq!(turns(0), [0, 1, 2]);
        assert_eq!(turns(1), [1, 2, 0]);
        assert_eq!(turns(5), [2, 0, 1]);
    }
}
