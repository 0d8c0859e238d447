//! The flags of the commands over plain TCP.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output::{HdrArgs, OutputArgs};
use super::target::TargetArgs;
use super::value::{count, duration, size};
use crate::fail_if::{Condition, MEASURED};

/// Flags of `origin`.
#[derive(Args, Debug)]
pub struct OriginArgs {
    /// Where to listen; port 0 takes a free one, and the first line on stdout tells which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5201")]
    pub listen: SocketAddr,

    /// Threads that serve [default: one for each CPU, at most 8]
    #[arg(long, value_name = "NUM", value_parser = count::<64>, default_value_t = threads(), hide_default_value = true)]
    pub threads: usize,

    /// End when standard input ends, so that a child does not outlive its parent
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// Flags that the commands over plain TCP share.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[SCENARIO:] is help for a terminal, no link"
)]
#[derive(Args, Debug)]
pub struct TcpArgs {
    /// What is measured; a backend given with --direct must be `loadtest origin`.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// How long to measure, all turns of all targets together, as 30s or 2m
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = duration)]
    pub duration: Duration,

    /// Rounds; in each, every target has its turn with every case. Below 6 there is no interval
    #[arg(long, value_name = "NUM", default_value_t = 10, value_parser = count::<10_000>)]
    pub rounds: usize,

    /// Threads of the client at most [default: one for each CPU, at most 8]
    #[arg(long, value_name = "NUM", value_parser = count::<64>, default_value_t = threads(), hide_default_value = true)]
    pub threads: usize,

    /// Fail with exit code 1 when this holds, as 'rate-ratio<0.9' or '64 B:p99-ratio>3'; repeatable
    ///
    /// [SCENARIO:]FIGURE, one of > >= < <=, and a number. rate-ratio, p50-ratio, p99-ratio: against
    /// direct; it counts only when all of its 95 % interval is beyond the number. errors: rounds
    /// that failed. Without SCENARIO, it holds when it holds for any; a figure that could not be
    /// measured, as with fewer than 6 rounds, fails as well.
    #[arg(long = "fail-if", value_name = "EXPR")]
    pub fail_if: Vec<Condition>,

    /// Where else the report goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl TcpArgs {
    /// What is wrong with the flags together.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut conditions = self.fail_if.iter();
        conditions.try_for_each(|condition| condition.check(MEASURED, &[]))?;
        self.targets.check()
    }
}

/// Flags of `throughput`.
#[derive(Args, Debug)]
pub struct ThroughputArgs {
    /// Which way the bytes go, a list
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_values_t = Direction::ALL)]
    pub direction: Vec<Direction>,

    /// Streams at a time, a list of numbers from 1 to 64
    #[arg(long, value_name = "LIST", value_parser = count::<64>, value_delimiter = ',', default_values_t = [1, 8])]
    pub streams: Vec<usize>,

    /// The rest.
    #[command(flatten)]
    pub tcp: TcpArgs,
}

/// Which way bulk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From the upstream to the client.
    Down,
    /// From the client to the upstream.
    Up,
    /// Both at once.
    Both,
}

impl Direction {
    const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Both];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Both => "both ways",
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As the flag reads it.
        f.write_str(self.name().split(' ').next().unwrap_or_default())
    }
}

/// Flags of `latency`.
#[derive(Args, Debug)]
pub struct LatencyArgs {
    /// Sizes of a message, a list from 8 bytes to 64MiB
    #[arg(
        long, value_name = "LIST", value_delimiter = ',', value_parser = size,
        default_value = "64,1KiB,16KiB,64KiB,1MiB,4MiB"
    )]
    pub sizes: Vec<usize>,

    /// Size of a request [default: as large as the response]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub request: Option<usize>,

    /// Connections at a time
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = count::<1_000>)]
    pub connections: usize,

    /// Requests in flight on each connection
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = count::<1_000>)]
    pub depth: usize,

    /// The rest.
    #[command(flatten)]
    pub tcp: TcpArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}

/// Flags of `connections`.
#[derive(Args, Debug)]
pub struct ConnectionsArgs {
    /// Short connections at a time, a list of numbers
    #[arg(long, value_name = "LIST", value_parser = count::<1_000>, value_delimiter = ',', default_values_t = [1, 32])]
    pub concurrency: Vec<usize>,

    /// Size of the request on each
    #[arg(long, value_name = "SIZE", default_value = "200", value_parser = size)]
    pub request: usize,

    /// Size of the response on each
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = size)]
    pub response: usize,

    /// Idle connections whose memory is measured, in a fresh process each time; 0 for none
    #[arg(long, value_name = "NUM", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(0..=20_000))]
    pub idle: u16,

    /// The rest.
    #[command(flatten)]
    pub tcp: TcpArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}

/// Threads by default: one for each CPU, at most 8.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(8))
}
