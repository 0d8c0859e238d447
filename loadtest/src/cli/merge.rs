//! The flags of `merge`.

use std::path::PathBuf;

use clap::Args;

use super::output::{HdrArgs, OutputArgs};

/// Flags of `merge`.
#[derive(Args, Debug)]
pub struct MergeArgs {
    /// The reports, as --json wrote them: at least two, of overhead, throughput, latency or
    /// connections
    #[arg(value_name = "REPORT.json", required = true, num_args = 2..)]
    pub reports: Vec<PathBuf>,

    /// Where the merged report goes.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}
