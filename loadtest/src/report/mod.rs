//! What a run found: data first; [`table`] prints it, serde writes it as JSON.

pub mod environment;
pub mod table;

use serde::{Deserialize, Serialize};

pub use self::environment::Environment;

/// Raised with each change that a reader of the JSON would notice.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of `loadtest overhead`. Times are nanoseconds, sizes bytes, unless a name says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
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
    /// Sums over all kinds and targets.
    pub totals: Totals,
    /// The proxy, when this run started it.
    pub proxy: Option<ProxyReport>,
    /// The first errors of each kind in full; [`Totals::errors`] counts all.
    pub failures: Vec<Failure>,
    /// What to know before trusting the figures.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether every call was answered and all answers were identical.
    pub fn is_clean(&self) -> bool {
        self.totals.errors == 0 && self.totals.requests > 0
    }
}

/// How a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seconds asked for.
    pub duration_s: f64,
    /// Connections to each target.
    pub connections: usize,
    /// Calls in flight on each connection.
    pub streams: usize,
    /// The seed of answers and order.
    pub seed: u64,
    /// Encoding of the messages: `snappy` or `none`.
    pub compression: String,
    /// The address that is called directly.
    pub direct: String,
    /// The address of the proxy.
    pub via: String,
    /// What stands behind the direct address: `stand-in` or `given`.
    pub backend: String,
}

/// One kind of call to the three targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindReport {
    /// The kind, as in the table.
    pub kind: String,
    /// Calls without the proxy.
    pub direct: TargetReport,
    /// Calls through the proxy.
    pub through: TargetReport,
    /// Calls without the proxy on a second connection: what differs here is noise.
    pub null: TargetReport,
    /// What the proxy adds to the median: through less direct.
    pub added: Option<Difference>,
    /// What noise adds to the median: null less direct.
    pub noise: Option<Difference>,
}

impl KindReport {
    /// Whether the difference that the proxy makes stands out from the noise: its interval leaves
    /// out zero, and it is larger than either end of the null run's interval. `None` when either
    /// is missing.
    pub fn stands_out(&self) -> Option<bool> {
        let (added, noise) = (self.added.as_ref()?, self.noise.as_ref()?);
        let floor = noise.low_ns.abs().max(noise.high_ns.abs());
        let sure = added.low_ns > 0.0 || added.high_ns < 0.0;
        Some(sure && added.median_ns.abs() > floor)
    }

    /// The three targets.
    pub fn targets(&self) -> [&TargetReport; 3] {
        [&self.direct, &self.through, &self.null]
    }
}

/// The calls of one kind to one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Calls made, those of the warm-up included.
    pub requests: u64,
    /// Calls that failed, or whose answer was not the expected one.
    pub errors: u64,
    /// Calls with another answer than the expected one. They are no errors where the backend's
    /// own answers change; a warning says so.
    pub different: u64,
    /// Percentiles of the latency of the answered ones, warm-up excluded.
    pub p50_ns: Option<u64>,
    /// See [`TargetReport::p50_ns`].
    pub p90_ns: Option<u64>,
    /// See [`TargetReport::p50_ns`].
    pub p99_ns: Option<u64>,
    /// See [`TargetReport::p50_ns`].
    pub p999_ns: Option<u64>,
    /// The slowest answered one.
    pub max_ns: Option<u64>,
}

/// A difference of medians, paired by round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The median of the rounds' differences.
    pub median_ns: f64,
    /// Lower end of its 95 % interval.
    pub low_ns: f64,
    /// Upper end of its 95 % interval.
    pub high_ns: f64,
    /// Rounds that count.
    pub pairs: usize,
}

/// Sums over all kinds and targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// The proxy process and its descendants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyReport {
    /// How it was started.
    pub command: String,
    /// Calls that went through it while measuring.
    pub requests: u64,
    /// CPU time while measuring, microseconds for each of them.
    pub cpu_us_per_request: f64,
    /// Resident memory at the end.
    pub rss_bytes: u64,
    /// Resident memory at its peak.
    pub peak_rss_bytes: u64,
}

/// One call that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// `Service/Method`, and the trace ID where the call has one.
    pub call: String,
    /// `direct`, `through` or `null`.
    pub target: String,
    /// What happened; for a different answer, at which byte.
    pub what: String,
}
