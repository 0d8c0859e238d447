//! What is kept of reports that were merged into one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Environment;

/// One of the reports that a merged one is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    /// Its file.
    pub file: String,
    /// The command line of its run.
    pub command: Vec<String>,
    /// When measuring started, RFC 3339.
    pub started_at: String,
    /// How long was measured, seconds.
    pub took_s: f64,
    /// Where it ran.
    pub environment: Environment,
}
