//! The flags of `soak`.

use std::time::Duration;

use clap::Args;

use super::output::OutputArgs;
use super::target::TargetArgs;
use super::tcp::threads;
use super::value::{count, duration};

/// Flags of `soak`.
#[derive(Args, Debug)]
pub struct SoakArgs {
    /// How long to soak
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = duration)]
    pub duration: Duration,

    /// How many connections to make, instead of a time
    #[arg(long, value_name = "NUM", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: Option<u64>,

    /// Connections at a time
    #[arg(long, value_name = "NUM", default_value_t = 32, value_parser = count::<10_000>)]
    pub concurrency: usize,

    /// Fixes every connection [default: another one each time, told in the report]
    #[arg(long, value_name = "NUM")]
    pub seed: Option<u64>,

    /// The number of the first connection, to repeat some of a run
    #[arg(long, value_name = "NUM", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 60))]
    pub first: u64,

    /// The process of the proxy given with --via, to look at its open files and memory
    #[arg(long, value_name = "PID", requires = "via")]
    pub pid: Option<u32>,

    /// Threads of the client at most [default: one for each CPU, at most 8]
    #[arg(long, value_name = "NUM", value_parser = count::<64>, default_value_t = threads(), hide_default_value = true)]
    pub threads: usize,

    /// What is soaked; a backend given with --direct must be `loadtest origin`.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// Where else the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SoakArgs {
    /// What is wrong with the flags together.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.targets.proxies.len(), self.targets.via.len()) {
            (2.., _) => Err("--proxy: soak takes one proxy at a time".to_owned()),
            (_, 2..) => Err("--via: soak takes one proxy at a time".to_owned()),
            _ => self.targets.check(),
        }
    }
}
