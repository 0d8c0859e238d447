//! What is valid: [`Config`], built from what the user typed, re-checked nowhere.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use ipnet::IpNet;

/// Everything the forwarder needs to know; every value is in range and no two clash.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pairs to forward, at least one, in the order given.
    pub forwards: Vec<Forward>,
    /// Worker threads.
    pub workers: NonZeroUsize,
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
    /// Who may connect.
    pub access: AccessRules,
}

/// One listener and where its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The advertised address.
    pub listen: ListenAddr,
    /// The local address behind it.
    pub upstream: UpstreamAddr,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// One IP address; an IPv6 one takes no IPv4 connections.
    Ip(SocketAddr),
    /// Every address of the host, IPv6 and IPv4, through one socket.
    DualStack(u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddr {
    /// One IP address.
    Ip(SocketAddr),
    /// A host name, resolved at each connect; all its addresses are tried.
    Name {
        /// The name, never empty.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// The scheduling class of the worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sched {
    /// `SCHED_BATCH`: a woken worker does not preempt the process that still produces.
    Batch,
    /// `SCHED_OTHER`.
    Normal,
}

/// How a direction moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Copies when bytes are few, splices when they are many.
    Auto,
    /// Always through a user-space buffer.
    Copy,
    /// Always through a kernel pipe, where one can be had.
    Splice,
}

/// How bytes move.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The whole time to reach the upstream, name resolution and every address included.
    pub connect: Duration,
    /// How long a refused upstream is tried again before the client is reset; zero: not at all.
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
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Default)]
pub struct AccessRules {
    /// If not empty, only these.
    pub allow: Vec<IpNet>,
    /// Never these, whatever `allow` says.
    pub deny: Vec<IpNet>,
}
