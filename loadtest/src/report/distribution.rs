//! How latencies are distributed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Latencies;

/// Percentiles of latencies in nanoseconds, to three digits; `None` where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Half of them took no longer.
    pub p50_ns: Option<u64>,
    /// 90 % of them took no longer.
    pub p90_ns: Option<u64>,
    /// 99 % of them took no longer.
    pub p99_ns: Option<u64>,
    /// 99.9 % of them took no longer.
    pub p999_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// All of them.
    #[serde(default)]
    pub histogram: Option<Latencies>,
}

impl Distribution {
    pub(crate) fn of(latencies: &Latencies) -> Self {
        Self {
            p50_ns: latencies.percentile(50.0),
            p90_ns: latencies.percentile(90.0),
            p99_ns: latencies.percentile(99.0),
            p999_ns: latencies.percentile(99.9),
            max_ns: latencies.max(),
            histogram: (latencies.count() > 0).then(|| latencies.clone()),
        }
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Latencies::count)
    }
}
