//! What a proxy adds to the slow calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Percentiles through a proxy less the same percentiles of direct calls, all rounds together.
/// `None` where too few calls were slower to tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tail {
    /// Of the 90th percentile.
    pub p90: Option<TailDifference>,
    /// Of the 99th percentile.
    pub p99: Option<TailDifference>,
    /// Of the 99.9th percentile.
    pub p999: Option<TailDifference>,
}

/// A difference of percentiles in nanoseconds. The 95 % interval comes from drawing whole rounds
/// anew, with repetition, so that calls of one round stay together on both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TailDifference {
    /// The difference.
    pub difference_ns: f64,
    /// Lower end of its 95 % interval.
    pub low_ns: f64,
    /// Upper end of its 95 % interval.
    pub high_ns: f64,
}

impl Tail {
    /// The differences that there are.
    pub fn differences(&self) -> impl Iterator<Item = &TailDifference> {
        [&self.p90, &self.p99, &self.p999].into_iter().flatten()
    }
}

impl TailDifference {
    /// Whether the interval leaves out zero.
    pub fn stands_out(&self) -> bool {
        self.low_ns > 0.0 || self.high_ns < 0.0
    }
}
