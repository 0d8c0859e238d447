//! The flags that say where a report goes, besides the table.

use std::path::PathBuf;

use clap::Args;

/// Flags of every command with a report.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Also write the report as JSON to this file (docs/report.schema.json describes it); `-` is
    /// standard output, and the table then goes to standard error, as with the flags below
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,

    /// Also write the report as one self-contained page to this file
    #[arg(long, value_name = "PATH")]
    pub html: Option<PathBuf>,

    /// Also write the report's figures to this file, one in each row, comma-separated
    #[arg(long, value_name = "PATH")]
    pub csv: Option<PathBuf>,
}

/// The flag of those that measure latencies.
#[derive(Args, Clone, Debug, Default)]
pub struct HdrArgs {
    /// Also write all latencies to this file, as a log of HdrHistogram
    #[arg(long, value_name = "PATH")]
    pub hdr: Option<PathBuf>,
}
