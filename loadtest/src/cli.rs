//! What the user typed.

mod address;
mod compare;
mod merge;
mod output;
mod overhead;
mod proxy;
mod soak;
mod start;
mod target;
mod tcp;
mod tls;
mod value;

use std::net::SocketAddr;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use self::address::Via;
pub use self::compare::CompareArgs;
pub use self::merge::MergeArgs;
pub use self::output::{HdrArgs, OutputArgs};
pub use self::overhead::{Compression, MixItem, OverheadArgs, Single};
pub use self::proxy::ProxyCommand;
pub use self::soak::SoakArgs;
pub use self::start::StartArgs;
pub use self::target::TargetArgs;
pub use self::tcp::{ConnectionsArgs, Direction, LatencyArgs, OriginArgs, TcpArgs, ThroughputArgs};
pub use self::tls::TlsArgs;

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
            Self::Serve(_) | Self::Origin(_) | Self::Merge(_) => Ok(()),
            Self::Overhead(args) => args.check(),
            Self::Compare(args) => args.check(),
            Self::Soak(args) => args.check(),
            Self::Throughput(args) => args.tcp.check(),
            Self::Latency(args) => args.tcp.check(),
            Self::Connections(args) => args.tcp.check(),
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
    /// with its defaults (--sched normal), twice, as a control. Ends by itself; exits with 0 when
    /// direct and portamento came through.
    Compare(CompareArgs),
    /// Prove that every byte arrives, once, in order, and where it belongs
    ///
    /// Connections of all kinds, fixed by a seed: random lengths and pieces, pauses, slow readers,
    /// half-closes, resets. Ends with 0 mismatches or the first one, located. Checks that the
    /// proxy's open files, pipes and memory stay flat.
    Soak(SoakArgs),
    /// Put the reports of several machines together into one
    ///
    /// For load that several machines made at the same time with the same flags; with --start-at
    /// overhead begins on all of them at once. Latencies are added, rates summed, the paired
    /// differences of all rounds pooled. Reports that do not go together are refused. Exits with 0
    /// when the merged report is clean, with 1 otherwise.
    Merge(MergeArgs),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
