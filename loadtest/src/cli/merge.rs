//! The flags of `merge`.

use std::path::PathBuf;

use clap::Args;

use super::output::{HdrArgs, OutputArgs};
use crate::fail_if::Condition;

/// Flags of `merge`.
#[derive(Args, Debug)]
pub struct MergeArgs {
    /// The reports, as --json wrote them: at least two, of overhead, throughput, latency or
    /// connections
    #[arg(value_name = "REPORT.json", required = true, num_args = 2..)]
    pub reports: Vec<PathBuf>,

    /// Fail with exit code 1 when this holds of the merged report; repeatable. As with the command
    /// that wrote the reports
    #[arg(long = "fail-if", value_name = "EXPR")]
    pub fail_if: Vec<Condition>,

    /// Where the merged report goes.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}
