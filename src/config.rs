//! What is valid: [`Config`], built from what the user typed, re-checked nowhere.

mod addr;
mod admin;
pub(crate) mod clash;
mod congestion;
mod count;
pub mod defaults;
mod display;
mod error;
mod log;
mod network;
mod own;
mod proxy_protocol;
mod ring_url;
mod size;
mod socket_file;
mod span;

use std::{fmt, num::NonZeroUsize, time::Duration};

use clap::ValueEnum;
use ipnet::IpNet;

pub use self::{
    addr::{AddrError, Forward, ListenAddr, UpstreamAddr},
    admin::{AdminAddr, AdminAddrError},
    congestion::{NameError, Unavailable, parse_congestion},
    count::{
        CountError, CountLimit, SwitchError, Workers, parse_backlog, parse_count, parse_switch,
    },
    error::{ConfigError, Given},
    log::{AccessLog, LogConfig, LogFormat, LogLevel},
    network::{NetworkError, parse_network},
    proxy_protocol::{ProxyProtocol, SendProxy},
    ring_url::{RING_PAGE, RingUrl, RingUrlError},
    size::{Size, SizeError},
    socket_file::SocketFileError,
    span::{Bounds, Limit, Span, SpanError},
};
pub(crate) use self::{
    congestion::check as check_congestion, own::OwnAddresses, socket_file::parent_of,
};

/// Everything the forwarder needs to know; every value is in range and no two clash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The pairs to forward, at least one, in the order given.
    pub forwards: Vec<Forward>,
    /// Worker threads. `None`: as many as the CPUs that the process may use, at most 4, found
    /// at bind.
    pub workers: Option<NonZeroUsize>,
    /// Scheduling class of the workers.
    pub sched: Sched,
    /// How bytes move.
    pub relay: RelayConfig,
    /// Bounds on time, applied to every connection.
    pub timeouts: Timeouts,
    /// Options of the sockets, on both sides.
    pub sockets: SocketOptions,
    /// Live connections at most; further ones wait in the backlog. `None`: what the limit on
    /// open files carries, found at bind.
    pub max_connections: Option<NonZeroUsize>,
    /// Live connections of one client address at most. `None`: no bound of their own.
    pub max_connections_per_source: Option<NonZeroUsize>,
    /// Connections let in by the second; further ones are reset. `None`: no bound.
    pub max_accept_rate: Option<NonZeroUsize>,
    /// Who may connect.
    pub access: AccessRules,
    /// The PROXY protocol, either way.
    pub proxy_protocol: ProxyProtocol,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Where the admin endpoint listens. `None`: nowhere.
    pub admin: Option<ListenAddr>,
    /// Whether the delay of bytes is sampled, for `forward_delay_seconds`. There is no flag: the
    /// benches show what it costs.
    pub sample_delay: bool,
}

impl Config {
    /// One pair, and every default but one: there is no admin endpoint.
    ///
    /// The pair is taken as it is; what a user types goes through `Config::try_from`, which finds
    /// clashes.
    pub fn for_pair(listen: ListenAddr, upstream: UpstreamAddr) -> Self {
        Self {
            forwards: vec![Forward { listen, upstream }],
            workers: None,
            sched: defaults::SCHED,
            relay: RelayConfig {
                engine: defaults::ENGINE,
                buffer_size: defaults::BUFFER_SIZE.0,
                pipe_size: defaults::PIPE_SIZE.0,
                max_pipes: None,
            },
            timeouts: Timeouts {
                resolve: defaults::RESOLVE_TIMEOUT.0,
                connect: defaults::CONNECT_TIMEOUT.0,
                connect_retry: defaults::CONNECT_RETRY.0,
                idle: defaults::IDLE_TIMEOUT.duration(),
                half_close: defaults::HALF_CLOSE_TIMEOUT.duration(),
                lifetime: defaults::MAX_LIFETIME.duration(),
                drain: defaults::DRAIN_TIMEOUT.0,
            },
            sockets: SocketOptions {
                backlog: defaults::BACKLOG,
                keepalive: defaults::KEEPALIVE.duration(),
                user_timeout: defaults::USER_TIMEOUT.duration(),
                rcvbuf: None,
                sndbuf: None,
                congestion: None,
                reuse_port: false,
            },
            max_connections: None,
            max_connections_per_source: defaults::MAX_CONNECTIONS_PER_SOURCE.0,
            max_accept_rate: defaults::MAX_ACCEPT_RATE.0,
            access: AccessRules::default(),
            proxy_protocol: ProxyProtocol {
                send: defaults::PROXY_PROTOCOL,
                accept: Vec::new(),
            },
            log: LogConfig {
                level: defaults::LOG_LEVEL,
                format: defaults::LOG_FORMAT,
                access_log: defaults::ACCESS_LOG,
            },
            admin: None,
            sample_delay: true,
        }
    }
}

/// The scheduling class of the worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sched {
    /// SCHED_BATCH: a woken worker preempts nobody, so that messages gather meanwhile
    Batch,
    /// SCHED_OTHER, the class of any other thread
    Normal,
}

/// How a direction moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Copies when bytes are few, splices when they are many
    Auto,
    /// Always through a user-space buffer
    Copy,
    /// Always through a kernel pipe, where one can be had
    Splice,
}

/// How bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Which engine.
    pub engine: Engine,
    /// Bytes of a copy buffer.
    pub buffer_size: usize,
    /// Bytes of pipe capacity to ask for.
    pub pipe_size: usize,
    /// Pipes that the process holds at most, all workers together. `None`: by worker.
    pub max_pipes: Option<NonZeroUsize>,
}

/// Bounds on time; `None` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long the look-up of the upstream's name may take, at each attempt.
    pub resolve: Duration,
    /// The whole time of one attempt to connect to the upstream, every address included. It begins
    /// when they are known.
    pub connect: Duration,
    /// How long a refused upstream is tried again before the client is reset; zero: not at all.
    /// May exceed `connect`, which bounds each attempt anew.
    pub connect_retry: Duration,
    /// No byte either way.
    pub idle: Option<Duration>,
    /// No byte either way after the first FIN.
    pub half_close: Option<Duration>,
    /// Age of a connection, give or take a tenth.
    pub lifetime: Option<Duration>,
    /// Upper bound of a drain.
    pub drain: Duration,
}

/// Options of the sockets; `None` leaves the kernel's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u16,
    /// Idle time before the first keepalive probe, and between probes. `None`: no keepalive.
    pub keepalive: Option<Duration>,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged.
    pub user_timeout: Option<Duration>,
    /// `SO_RCVBUF`, bytes.
    pub rcvbuf: Option<usize>,
    /// `SO_SNDBUF`, bytes.
    pub sndbuf: Option<usize>,
    /// Name of the congestion control.
    pub congestion: Option<String>,
    /// `SO_REUSEPORT` on the listeners, so that an old and a new process overlap.
    pub reuse_port: bool,
}

/// Who may connect, by source address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRules {
    /// If not empty, only these.
    pub allow: Vec<IpNet>,
    /// Never these, whatever `allow` says.
    pub deny: Vec<IpNet>,
}

/// Shows a choice as it is typed.
fn show_choice(choice: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match choice.to_possible_value() {
        Some(value) => f.write_str(value.get_name()),
        None => Ok(()), // a choice that cannot be typed; there is none
    }
}

#[cfg(test)]
mod tests;
