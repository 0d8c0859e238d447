//! What `throughput`, `latency`, `connections` and `compare` found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Comparison, Distribution, Environment, Estimate, Merged};

/// The result of a command that measures scenarios on targets. Times are seconds, sizes bytes,
/// unless a name says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// [`super::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The subcommand.
    pub kind: String,
    /// The command line of this run.
    pub command: Vec<String>,
    /// When measuring started, RFC 3339.
    pub started_at: String,
    /// How long the run took, seconds.
    pub took_s: f64,
    /// Where it ran.
    pub environment: Environment,
    /// Rounds asked for. In each, every target had its turn with every scenario.
    pub rounds: usize,
    /// How long a turn was measured, seconds, after a warm-up of a fifth of it.
    pub slice_s: f64,
    /// Threads of the client at most.
    pub client_threads: usize,
    /// What stands behind the direct address: `origin` or `given`.
    pub backend: String,
    /// The targets, the first of which is what others are compared with.
    pub targets: Vec<TargetDescription>,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// A target against itself, started another time: the mean of all scenarios' rates (the
    /// geometric one, of each round). What differs from 1 here is noise.
    pub control: Option<Comparison>,
    /// Why system calls were not counted; `None` when they were.
    pub syscalls_unavailable: Option<String>,
    /// What to know before trusting the figures.
    pub warnings: Vec<String>,
    /// The conditions of `--fail-if` that held, each with the figure.
    #[serde(default)]
    pub failed_if: Vec<String>,
    /// The reports that this one was merged from; none where it is from a run. [`Self::environment`]
    /// is then that of the first.
    #[serde(default)]
    pub merged: Vec<Merged>,
}

impl Measured {
    /// Whether every target gave every figure, without an error, but for those that are optional;
    /// and no condition of `--fail-if` held.
    pub fn is_clean(&self) -> bool {
        let is_optional = |row: &Row| {
            let mut targets = self.targets.iter();
            targets.any(|target| target.name == row.target && target.optional)
        };
        let mut rows = self.scenarios.iter().flat_map(|scenario| &scenario.rows);
        let is_whole = rows.all(|row| row.errors == 0 || is_optional(row));
        !self.scenarios.is_empty() && is_whole && self.failed_if.is_empty()
    }
}

/// A target and how it was reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetDescription {
    /// Its name.
    pub name: String,
    /// Its version, as it tells it.
    pub version: Option<String>,
    /// How it was started, with placeholders where each start had other values.
    pub command: Option<String>,
    /// Its configuration file, with the same placeholders.
    pub config: Option<String>,
    /// Why it was not measured.
    pub missing: Option<String>,
    /// Whether its failure is no failure of the run.
    pub optional: bool,
}

/// One load on all targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// What was done.
    pub name: String,
    /// What is counted: `GiB`, `request`, `connection`, or `idle connection`.
    pub unit: String,
    /// One for each target.
    pub rows: Vec<Row>,
}

/// One load on one target. What was not or cannot be measured is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The target's name.
    pub target: String,
    /// Rounds measured to their end.
    pub rounds: usize,
    /// Rounds that failed.
    pub errors: usize,
    /// The first failure.
    pub failure: Option<String>,
    /// Bytes of bulk, every one of which was checked.
    pub bytes: u64,
    /// Requests answered, every byte of which was checked.
    pub operations: u64,
    /// Units a second.
    pub rate: Option<Estimate>,
    /// Latencies of all rounds together.
    #[serde(flatten)]
    pub latency: Distribution,
    /// CPU seconds of the proxy for each unit.
    pub cpu_s: Option<Estimate>,
    /// CPU seconds of the whole machine for each unit.
    pub machine_cpu_s: Option<Estimate>,
    /// The proxy's context switches for each unit.
    pub switches: Option<Estimate>,
    /// The proxy's system calls for each unit, counted in a turn of its own.
    pub syscalls: Option<f64>,
    /// The proxy's resident memory, the largest of all turns.
    pub rss_bytes: Option<u64>,
    /// What an idle connection takes.
    pub idle: Option<Idle>,
    /// Figures compared with other targets', round by round.
    pub comparisons: Vec<Comparison>,
}

impl Row {
    /// How `metric` compares with `base`'s.
    pub fn against(&self, base: &str, metric: &str) -> Option<&Estimate> {
        let mut comparisons = self.comparisons.iter();
        comparisons
            .find(|comparison| comparison.base == base && comparison.metric == metric)
            .map(|comparison| &comparison.ratio)
    }
}

/// What an idle connection takes of the proxy's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Idle {
    /// Connections that were open.
    pub connections: usize,
    /// Resident bytes for each, before any byte was sent.
    pub untouched_bytes: Estimate,
    /// Resident bytes for each, after a request and a response on each.
    pub used_bytes: Estimate,
    /// Open files for each.
    pub fds: Option<Estimate>,
}
