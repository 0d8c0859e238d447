//! What the user typed: the flags, their help, and how they become a [`Config`].
//!
//! A value that is wrong on its own is refused while the flags are parsed; values that clash with
//! each other or with the host are refused by `Config::try_from`. Both name the flag, also where
//! the value came from the environment; the first names the variable, too.

mod commands;
mod connection_flags;
mod manual;
mod relay_flags;
mod source;

use clap::{Arg, Parser};

use crate::{
    config::{
        Config, ConfigError, Forward, Given, ListenAddr, OwnAddresses, check_congestion,
        clash::{self, GivenForward},
        defaults,
    },
    control::admin::catalogue,
};

pub use self::{
    commands::{CheckArgs, Command, ScopeArgs},
    connection_flags::{AccessArgs, AdminArgs, LogArgs, ProxyProtocolArgs, SocketArgs},
    manual::{completions, page as manual_page},
    relay_flags::{PairArgs, RelayArgs, TimeoutArgs},
    source::parse,
};

/// Forwards TCP connections: one more port in front of a local server.
///
/// Listens on an advertised port, connects to a local one, and moves bytes between them as cheaply
/// as the kernel allows. Every flag has an environment variable; a flag wins over the environment,
/// the environment over the default.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "portamento",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_value_name = "COMMAND",
    after_long_help = catalogue::help(),
    mut_args(as_typed)
)]
pub struct Args {
    /// What to do instead of forwarding.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What to forward, and how.
    #[command(flatten)]
    pub forwarder: ForwarderArgs,
}

/// The flags of the forwarder.
#[derive(Clone, Debug, clap::Args)]
pub struct ForwarderArgs {
    /// From where to where.
    #[command(flatten)]
    pub pairs: PairArgs,
    /// Who moves bytes, and how.
    #[command(flatten)]
    pub relay: RelayArgs,
    /// Bounds on time.
    #[command(flatten)]
    pub timeouts: TimeoutArgs,
    /// Who may connect, and how many.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Who the client is.
    #[command(flatten)]
    pub proxy_protocol: ProxyProtocolArgs,
    /// Options of the sockets.
    #[command(flatten)]
    pub sockets: SocketArgs,
    /// Who may look at the process.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Makes the help of a flag the same everywhere, and lets it take `-5s` as the value that it is
/// meant as.
fn as_typed(arg: Arg) -> Arg {
    let takes_value = arg.get_action().takes_values();
    arg.hide_env_values(true).allow_hyphen_values(takes_value)
}

impl TryFrom<ForwarderArgs> for Config {
    type Error = ConfigError;

    /// Finds what clashes; looks at the file system, `/proc` and the interfaces, and binds nothing.
    ///
    /// # Errors
    ///
    /// The first clash between flags, or between a flag and the host.
    fn try_from(args: ForwarderArgs) -> Result<Self, ConfigError> {
        args.config(&[])
    }
}

impl ForwarderArgs {
    /// As `Config::try_from`, but that sockets which are bound to `inherited` already take the place
    /// of the listeners, one for each pair in order; or none, where it is empty.
    ///
    /// # Errors
    ///
    /// The first clash between flags, or between a flag and the host.
    pub fn config(self, inherited: &[ListenAddr]) -> Result<Config, ConfigError> {
        let args = self;
        let mut pairs = args.pairs.pairs();
        let own = OwnAddresses::OfInterfaces;
        for (pair, address) in pairs.iter_mut().zip(inherited) {
            pair.listen = Given::new("LISTEN_FDS", address);
            pair.forward.listen = address.clone();
        }
        if inherited.is_empty() {
            clash::check_listeners(&pairs)?; // the kernel has let others be bound
        }
        clash::check_upstreams(&pairs, &own)?;
        clash::check_admin(&pairs, &args.admin.admin, &own)?;
        clash::check_proxies(&pairs, &args.proxy_protocol.accept_proxy_protocol)?;
        if let Some(name) = &args.sockets.congestion {
            check_congestion(name).map_err(|source| ConfigError::Congestion {
                given: Given::new("--congestion", name),
                source,
            })?;
        }
        Ok(Config {
            forwards: pairs.into_iter().map(|pair| pair.forward).collect(),
            workers: args.relay.workers.0,
            sched: args.relay.sched,
            relay: args.relay.config(),
            timeouts: args.timeouts.config(),
            max_connections: args.access.max_connections,
            max_connections_per_source: args.access.max_connections_per_source.0,
            max_accept_rate: args.access.max_accept_rate.0,
            access: args.access.rules(),
            proxy_protocol: args.proxy_protocol.config(),
            sockets: args.sockets.config(),
            log: args.log.config(),
            admin: args.admin.admin.0,
            sample_delay: true,
        })
    }
}

impl PairArgs {
    /// The pairs in their order, the one of `--listen` and `--upstream` first. That one is there
    /// unless only `--forward` was given.
    fn pairs(self) -> Vec<GivenForward> {
        let only_forwards =
            self.listen.is_none() && self.upstream.is_none() && !self.forward.is_empty();
        let single = (!only_forwards).then(|| {
            let listen = self.listen.unwrap_or(defaults::LISTEN);
            let upstream = self.upstream.unwrap_or(defaults::UPSTREAM);
            GivenForward {
                listen: Given::new("--listen", &listen),
                upstream: Given::new("--upstream", &upstream),
                forward: Forward { listen, upstream },
            }
        });
        let forwards = self.forward.into_iter().map(|forward| {
            let given = Given::new("--forward", &forward);
            GivenForward {
                listen: given.clone(),
                upstream: given,
                forward,
            }
        });
        single.into_iter().chain(forwards).collect()
    }
}

#[cfg(test)]
mod tests;
