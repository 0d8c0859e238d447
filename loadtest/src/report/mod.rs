//! What a run found: data first; [`table`] prints it, serde writes it as JSON.

mod any;
pub mod compare_table;
mod csv;
pub mod distribution;
pub mod environment;
mod hdr;
mod html;
mod json;
pub mod measured;
pub mod measured_table;
mod merged;
pub mod paired;
pub mod soak;
pub mod table;
pub mod tail;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::any::AnyReport;
pub use self::distribution::Distribution;
pub use self::environment::Environment;
pub use self::measured::{Idle, Measured, Row, Scenario, TargetDescription};
pub use self::merged::Merged;
pub use self::paired::{Comparison, Difference, Estimate};
pub use self::soak::{Flat, SoakReport};
pub use self::tail::{Tail, TailDifference};
pub use crate::stats::Latencies;

/// Raised with each change that a reader of the JSON would notice.
pub const SCHEMA_VERSION: u32 = 3;

/// The result of `loadtest overhead`. Times are nanoseconds, sizes bytes, unless a name says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// `overhead`.
    pub kind: String,
    /// The command line of this run.
    pub command: Vec<String>,
    /// When measuring started, RFC 3339.
    pub started_at: String,
    /// Where it ran.
    pub environment: Environment,
    /// How it was run.
    pub settings: Settings,
    /// How long was measured, seconds.
    pub measured_s: f64,
    /// Rounds: in each, every target made the same calls in the same order.
    pub rounds: u64,
    /// A row for each kind of call.
    pub kinds: Vec<KindReport>,
    /// All kinds together, for each target: direct, null, and the proxies.
    pub targets: Vec<TargetTotals>,
    /// Sums over all kinds and targets.
    pub totals: Totals,
    /// The proxies that this run started.
    pub proxies: Vec<ProxyReport>,
    /// Why their system calls were not counted; `None` when they were.
    pub syscalls_unavailable: Option<String>,
    /// The first errors of each kind in full; [`Totals::errors`] counts all.
    pub failures: Vec<Failure>,
    /// CPU time of this client while measuring, as a share of what its threads could use.
    pub client_load: f64,
    /// What to know before trusting the figures.
    pub warnings: Vec<String>,
    /// The conditions of `--fail-if` that held, each with the figure.
    pub failed_if: Vec<String>,
    /// The reports that this one was merged from; none where it is from a run. [`Self::environment`]
    /// is then that of the first.
    #[serde(default)]
    pub merged: Vec<Merged>,
}

impl Report {
    /// Whether every call was answered, all answers were identical, and no condition of
    /// `--fail-if` held.
    pub fn is_clean(&self) -> bool {
        self.totals.errors == 0 && self.totals.requests > 0 && self.failed_if.is_empty()
    }
}

/// How a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Seconds asked for.
    pub duration_s: f64,
    /// `closed`: a call begins when another has ended. `open`: calls begin at their time.
    pub mode: String,
    /// Calls a second to each target in its turns, in open loop.
    pub rate_per_s: Option<f64>,
    /// What is called: `querier`, or single calls, as `--mix` names them.
    pub mix: Vec<String>,
    /// Sizes of the traces that were asked for, bytes; none where the mix fixes them.
    pub sizes: Vec<usize>,
    /// Connections to each target.
    pub connections: usize,
    /// Calls in flight on each connection, at most.
    pub streams: usize,
    /// The seed of answers and order.
    pub seed: u64,
    /// Encoding of the messages: `snappy` or `none`.
    pub compression: String,
    /// The tenant of the calls.
    pub tenant: String,
    /// `none`, `tls`, or `mtls`, with a certificate of the client.
    pub tls: String,
    /// The address that is called directly.
    pub direct: String,
    /// The proxies' addresses, in the order of [`KindReport::through`].
    pub via: Vec<String>,
    /// What stands behind the direct address: `stand-in` or `given`.
    pub backend: String,
}

/// One kind of call to all targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindReport {
    /// The kind, as in the table.
    pub kind: String,
    /// Calls without a proxy.
    pub direct: TargetReport,
    /// Calls without a proxy on a second connection: what differs here is noise.
    pub null: TargetReport,
    /// What noise adds to the median: null less direct.
    pub noise: Option<Difference>,
    /// Calls through each proxy.
    pub through: Vec<ThroughReport>,
}

impl KindReport {
    /// Whether the difference that a proxy makes stands out from the noise: its interval leaves
    /// out zero, and it is larger than either end of the null run's interval. `None` when either
    /// is missing.
    pub fn stands_out(&self, through: &ThroughReport) -> Option<bool> {
        let (added, noise) = (through.added.as_ref()?, self.noise.as_ref()?);
        let floor = noise.low_ns.abs().max(noise.high_ns.abs());
        let sure = added.low_ns > 0.0 || added.high_ns < 0.0;
        Some(sure && added.median_ns.abs() > floor)
    }

    /// All targets: direct, null, and the proxies.
    pub fn targets(&self) -> impl Iterator<Item = &TargetReport> {
        let through = self.through.iter().map(|through| &through.calls);
        [&self.direct, &self.null].into_iter().chain(through)
    }
}

/// Calls of one kind through one proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughReport {
    /// The proxy's name.
    pub proxy: String,
    /// The calls.
    #[serde(flatten)]
    pub calls: TargetReport,
    /// What the proxy adds to the median: through less direct, paired by round.
    pub added: Option<Difference>,
    /// What the proxy adds to the slow calls.
    pub added_tail: Tail,
}

/// The calls of one kind to one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetReport {
    /// Calls made, those of the warm-up included.
    pub requests: u64,
    /// Calls that failed, or whose answer was not the expected one.
    pub errors: u64,
    /// Calls with another answer than the expected one. They are no errors where the backend's
    /// own answers change; a warning says so.
    pub different: u64,
    /// Latencies of the answered ones, warm-up excluded. In open loop these are response times:
    /// from the moment at which the call should have begun.
    #[serde(flatten)]
    pub latency: Distribution,
    /// In open loop, service times: from the moment at which the call did begin.
    pub service: Option<Distribution>,
}

/// All calls to one target, warm-up excluded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetTotals {
    /// `direct`, `null` or the proxy's name.
    pub target: String,
    /// Calls made.
    pub requests: u64,
    /// Size of their answers.
    pub answer_bytes: u64,
    /// Calls that should have begun, a second of this target's turns; in open loop.
    pub offered_per_s: Option<f64>,
    /// Calls answered, a second of this target's turns.
    pub achieved_per_s: f64,
    /// Calls whose time came and that were never made, in open loop: too many waited before them.
    pub unsent: u64,
    /// CPU time of the whole machine in this target's turns, microseconds for each call.
    pub machine_cpu_us_per_request: f64,
}

/// Sums over all kinds and targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Calls made, those of the warm-up included.
    pub requests: u64,
    /// Calls that failed, or whose answer was not the expected one.
    pub errors: u64,
    /// Calls with another answer than the expected one; see [`TargetReport::different`].
    pub different: u64,
    /// Size of the answers, all of which were compared byte for byte.
    pub compared_bytes: u64,
}

/// A proxy process and its descendants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyReport {
    /// Its name.
    pub name: String,
    /// How it was started.
    pub command: String,
    /// Calls that went through it while measuring.
    pub requests: u64,
    /// CPU time while measuring, microseconds for each of them.
    pub cpu_us_per_request: f64,
    /// CPU time while measuring, seconds for each GiB of answers.
    pub cpu_s_per_gib: f64,
    /// Context switches while measuring, for each of them.
    pub switches_per_request: f64,
    /// System calls for each request, counted in a run of its own after the measurement.
    pub syscalls_per_request: Option<f64>,
    /// Resident memory at the end.
    pub rss_bytes: u64,
    /// Resident memory at its peak.
    pub peak_rss_bytes: u64,
}

/// One call that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// `Service/Method`, and the trace ID where the call has one.
    pub call: String,
    /// `direct`, `null` or the proxy's name.
    pub target: String,
    /// What happened; for a different answer, at which byte.
    pub what: String,
}
