//! What the user typed.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

/// Measures what a proxy costs the reads of Tempo's queriers.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in for a live-store: the calls of a querier, answered from a seed
    Serve(ServeArgs),
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
