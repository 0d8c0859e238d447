//! What the user typed.

mod compare;
mod output;
mod proxy;
mod soak;
mod target;
mod tcp;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub use self::compare::CompareArgs;
pub use self::output::{HdrArgs, OutputArgs};
pub use self::proxy::ProxyCommand;
pub use self::soak::SoakArgs;
pub use self::target::TargetArgs;
pub use self::tcp::{ConnectionsArgs, Direction, LatencyArgs, OriginArgs, TcpArgs, ThroughputArgs};
use self::value::{count, duration};
use crate::standin::TraceId;

/// Measures what a proxy costs the reads of Tempo's queriers.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line. A mistake in it is told on stderr, and ends the process with 2.
    pub fn read() -> Self {
        let cli = Self::parse();
        if let Err(what) = cli.command.check() {
            Self::command()
                .error(ErrorKind::ValueValidation, what)
                .exit();
        }
        cli
    }
}

impl Command {
    /// What flags can say only together.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Serve(_) | Self::Origin(_) => Ok(()),
            Self::Overhead(args) => args.targets.check(),
            Self::Compare(args) => args.check(),
            Self::Soak(args) => args.check(),
            Self::Throughput(args) => args.tcp.targets.check(),
            Self::Latency(args) => args.tcp.targets.check(),
            Self::Connections(args) => args.tcp.targets.check(),
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in for a live-store: the calls of a querier, answered from a seed
    Serve(ServeArgs),
    /// Measure what a proxy costs: the same reads directly and through it, in turns
    ///
    /// Without flags it starts the stand-in and portamento by itself. Exits with 0 when every call
    /// was answered and all answers were identical, with 1 otherwise, with 2 for wrong flags.
    Overhead(OverheadArgs),
    /// Measure bulk over plain TCP: down, up, both ways, over one stream or many
    ///
    /// Every byte is checked. Exits with 0 when all turns of all targets came to their end, with 1
    /// otherwise, with 2 for wrong flags; so do the commands below.
    Throughput(ThroughputArgs),
    /// Measure requests and responses over plain TCP, at several sizes
    Latency(LatencyArgs),
    /// Measure short connections, and what an idle one takes
    Connections(ConnectionsArgs),
    /// Compare portamento with direct and with every proxy that is installed, in all scenarios
    ///
    /// haproxy (copying and splicing), nginx, envoy, socat and realm, as far as they are in PATH,
    /// each with the settings that serve it best, one at a time in fresh processes. portamento runs
    /// twice, as a control. Ends by itself; exits with 0 when direct and portamento came through.
    Compare(CompareArgs),
    /// Prove that every byte arrives, once, in order, and where it belongs
    ///
    /// Connections of all kinds, fixed by a seed: random lengths and pieces, pauses, slow readers,
    /// half-closes, resets. Ends with 0 mismatches or the first one, located. Checks that the
    /// proxy's open files, pipes and memory stay flat.
    Soak(SoakArgs),
    /// Be the other end of throughput, latency, connections and soak, for --direct
    Origin(OriginArgs),
}

/// Flags of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one, and the first line on stdout tells which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9095")]
    pub listen: SocketAddr,

    /// Fixes every answer, byte for byte
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    pub seed: u64,

    /// End when standard input ends, so that a child does not outlive its parent
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// Flags of `overhead`.
#[derive(Args, Debug)]
pub struct OverheadArgs {
    /// How long to measure, as 20s or 2m, after a warm-up of a tenth of it (at most 2 s)
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = duration)]
    pub duration: Duration,

    /// Connections to each target, kept open (a querier has one to each live-store)
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = count::<100>)]
    pub connections: usize,

    /// Calls in flight on each connection, 1 to 100 (Tempo's limit)
    #[arg(long, value_name = "NUM", default_value_t = 4, value_parser = count::<100>)]
    pub streams: usize,

    /// Fixes the stand-in's answers, the calls and their order
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    pub seed: u64,

    /// Encoding of the messages; Tempo's is snappy
    #[arg(long, value_enum, default_value_t = Compression::Snappy)]
    pub compression: Compression,

    /// What is measured.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// A trace to read from the backend given with --direct, repeatable [default: what a search
    /// for the last hour finds]
    #[arg(long = "trace-id", value_name = "HEX", requires = "direct")]
    pub trace_ids: Vec<TraceId>,

    /// The tenant, sent as x-scope-orgid
    #[arg(long, value_name = "NAME", default_value = "single-tenant")]
    pub tenant: String,

    /// Where else the report goes.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// The snappy framing format, both ways.
    Snappy,
    /// Not at all.
    None,
}

impl Compression {
    /// Whether it is snappy.
    pub fn is_snappy(self) -> bool {
        self == Self::Snappy
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snappy => "snappy",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
