//! The subcommands beside the forwarder.

use std::net::IpAddr;

use clap::Subcommand;
use clap_complete::Shell;

use super::{ForwarderArgs, as_typed};
use crate::config::{RingUrl, parse_switch};

/// What to do instead of forwarding.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Checks flags, host, upstream and ring, and forwards nothing
    ///
    /// Takes the flags and the environment of the forwarder: put `check` in front of the arguments
    /// that it runs with. Tells what it finds in one line each, with what to do about it. Ends with
    /// 0 if there is no error, with 1 if there is one, with 2 if the command line is wrong.
    Check(Box<CheckArgs>),
    /// Writes a completion script to standard output
    Completions {
        /// For which shell
        #[arg(value_name = "SHELL", help_heading = "Completions")]
        shell: Shell,
    },
    /// Writes the manual page to standard output, in roff: portamento man | man -l -
    Man,
}

/// The flags of `check`.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(as_typed))]
pub struct CheckArgs {
    /// What the forwarder would be given.
    #[command(flatten)]
    pub forwarder: ForwarderArgs,

    /// What to check beside it.
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// What `check` looks at beside the forwarder's flags, and how it tells.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Check")]
pub struct ScopeArgs {
    /// A live-store, distributor or querier: does its ring lead to the listen address?
    /// [default: not asked]
    ///
    /// http://HOST:PORT, or the URL of the page if it is not /live-store/ring.
    #[arg(long, value_name = "URL", env = "PORTAMENTO_RING")]
    pub ring: Option<RingUrl>,

    /// Addresses that the ring may have for this host; repeatable, or separated by commas
    /// [default: $POD_IP, else every address of this host]
    #[arg(
        long,
        value_name = "IP",
        value_delimiter = ',',
        env = "PORTAMENTO_INSTANCE_ADDR"
    )]
    pub instance_addr: Vec<IpAddr>,

    /// Tells what was found as JSON [default: off]
    ///
    /// In the environment: true or false.
    #[arg(long, value_parser = parse_switch, env = "PORTAMENTO_JSON")]
    pub json: bool,
}
