//! The flags about who connects, the sockets, and the log.

use std::num::NonZeroUsize;

use ipnet::IpNet;

use crate::config::{
    AccessLog, AccessRules, AdminAddr, CountLimit, Limit, LogConfig, LogFormat, LogLevel,
    ProxyProtocol, SendProxy, Size, SocketOptions, defaults, parse_backlog, parse_congestion,
    parse_count, parse_network, parse_switch,
};

/// Who may connect, and how many.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection limits")]
pub struct AccessArgs {
    /// Live connections at most: 1 to 1000000000; further ones wait in the backlog
    /// [default: from the fd limit]
    #[arg(long, value_name = "N", value_parser = parse_count, env = "PORTAMENTO_MAX_CONNECTIONS")]
    pub max_connections: Option<NonZeroUsize>,

    /// Live connections of one client address at most: off, or 1 to 1000000
    ///
    /// Further ones are reset and counted. The address is the one that a PROXY header names, where
    /// there is one. Clients of unix sockets are not limited.
    #[arg(
        long,
        value_name = "N|off",
        default_value_t = defaults::MAX_CONNECTIONS_PER_SOURCE,
        env = "PORTAMENTO_MAX_CONNECTIONS_PER_SOURCE"
    )]
    pub max_connections_per_source: CountLimit,

    /// New connections by the second at most, all listeners together: off, or 1 to 1000000
    ///
    /// A second's worth may come at once. Further ones are reset and counted; whoever is turned away
    /// for another reason takes no share.
    #[arg(
        long,
        value_name = "N|off",
        default_value_t = defaults::MAX_ACCEPT_RATE,
        env = "PORTAMENTO_MAX_ACCEPT_RATE"
    )]
    pub max_accept_rate: CountLimit,

    /// Source addresses that may connect; repeatable, or separated by commas [default: all]
    ///
    /// A CIDR block or a single address. Others are reset and counted. The address is the one that a
    /// PROXY header names, where there is one.
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network,
        env = "PORTAMENTO_ALLOW"
    )]
    pub allow: Vec<IpNet>,

    /// Source addresses that may not, even if allowed; repeatable, or separated by commas
    /// [default: none]
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network,
        env = "PORTAMENTO_DENY"
    )]
    pub deny: Vec<IpNet>,
}

impl AccessArgs {
    pub(super) fn rules(self) -> AccessRules {
        AccessRules {
            allow: self.allow,
            deny: self.deny,
        }
    }
}

/// Who the client is, told between proxies.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "PROXY protocol")]
pub struct ProxyProtocolArgs {
    /// Header that tells the upstream who the client is
    ///
    /// It is the first thing that the upstream gets: one that does not expect it takes it for the
    /// client's bytes.
    #[arg(
        long,
        value_name = "VERSION",
        default_value_t = defaults::PROXY_PROTOCOL,
        env = "PORTAMENTO_PROXY_PROTOCOL"
    )]
    pub proxy_protocol: SendProxy,

    /// Peers that must send such a header, version 1 or 2; repeatable, or separated by commas
    /// [default: off]
    ///
    /// A CIDR block or a single address. With this flag every connection must come from one of these
    /// peers and begin with a header, of 4096 bytes at most and within 5 seconds; all others are
    /// reset and counted, since who may name a client may name any. The client that the header names
    /// is the one of the log, of --allow and --deny, and of the limit on each source; where it names
    /// none (LOCAL, UNKNOWN) the peer is.
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network,
        env = "PORTAMENTO_ACCEPT_PROXY_PROTOCOL"
    )]
    pub accept_proxy_protocol: Vec<IpNet>,
}

impl ProxyProtocolArgs {
    pub(super) fn config(self) -> ProxyProtocol {
        ProxyProtocol {
            send: self.proxy_protocol,
            accept: self.accept_proxy_protocol,
        }
    }
}

/// Options of the sockets.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sockets")]
pub struct SocketArgs {
    /// Connections that may wait to be accepted: 1 to 65535; the kernel caps it at
    /// net.core.somaxconn
    #[arg(
        long,
        value_name = "N",
        default_value_t = defaults::BACKLOG,
        value_parser = parse_backlog,
        env = "PORTAMENTO_BACKLOG"
    )]
    pub backlog: u16,

    /// Idle time before a keepalive probe, and between probes: off, or 1s to 32767s, whole seconds
    ///
    /// On both sides; after three probes without an answer the peer is given up.
    #[arg(
        long,
        value_name = "DUR|off",
        default_value_t = defaults::KEEPALIVE,
        value_parser = |text: &str| Limit::parse_within(text, defaults::KEEPALIVE_BOUNDS),
        env = "PORTAMENTO_KEEPALIVE"
    )]
    pub keepalive: Limit,

    /// How long sent bytes may stay unacknowledged: off, or 1ms to 24d
    ///
    /// TCP_USER_TIMEOUT, on both sides: after it a peer that is gone without a word is given up. So
    /// is one that is there and reads slowly, since the kernel's clock goes on while its window opens by
    /// less than a segment at a time. Off, bytes are sent again for some 15 minutes
    /// (net.ipv4.tcp_retries2), and --keepalive finds the dead among the idle.
    #[arg(
        long,
        value_name = "DUR|off",
        default_value_t = defaults::USER_TIMEOUT,
        value_parser = |text: &str| Limit::parse_within(text, defaults::USER_TIMEOUT_BOUNDS),
        env = "PORTAMENTO_USER_TIMEOUT"
    )]
    pub user_timeout: Limit,

    /// Receive buffer of each socket: 4KiB to 1GiB; bytes, KiB, MiB or GiB [default: kernel's choice]
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = |text: &str| Size::parse_within(text, &defaults::SOCKET_BUFFER_RANGE),
        env = "PORTAMENTO_RCVBUF"
    )]
    pub rcvbuf: Option<Size>,

    /// Send buffer of each socket: 4KiB to 1GiB; bytes, KiB, MiB or GiB [default: kernel's choice]
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = |text: &str| Size::parse_within(text, &defaults::SOCKET_BUFFER_RANGE),
        env = "PORTAMENTO_SNDBUF"
    )]
    pub sndbuf: Option<Size>,

    /// Congestion control of each TCP socket, for example bbr [default: kernel's choice]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = parse_congestion,
        env = "PORTAMENTO_CONGESTION"
    )]
    pub congestion: Option<String>,

    /// Shares the port with another process (SO_REUSEPORT), so that old and new overlap
    /// [default: off]
    ///
    /// In the environment: true or false.
    #[arg(long, value_parser = parse_switch, env = "PORTAMENTO_REUSE_PORT")]
    pub reuse_port: bool,
}

impl SocketArgs {
    pub(super) fn config(self) -> SocketOptions {
        SocketOptions {
            backlog: self.backlog,
            keepalive: self.keepalive.duration(),
            user_timeout: self.user_timeout.duration(),
            rcvbuf: self.rcvbuf.map(|size| size.0),
            sndbuf: self.sndbuf.map(|size| size.0),
            congestion: self.congestion,
            reuse_port: self.reuse_port,
        }
    }
}

/// Who may look at the process.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Admin endpoint")]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[V6] is help for a terminal, no link"
)]
pub struct AdminArgs {
    /// Where /metrics, /ready, /live and /connections are served: IP:PORT, [V6]:PORT, :PORT or off
    ///
    /// Plain HTTP, read-only, without a password: keep it on the loopback or inside the pod's
    /// network. :PORT is every address of the host, IPv6 and IPv4. Port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDR|off",
        default_value_t = defaults::ADMIN,
        env = "PORTAMENTO_ADMIN"
    )]
    pub admin: AdminAddr,
}

/// What is logged, and how; to standard error.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Least severe events to log
    #[arg(
        long,
        value_name = "LEVEL",
        default_value_t = defaults::LOG_LEVEL,
        env = "PORTAMENTO_LOG_LEVEL"
    )]
    pub log_level: LogLevel,

    /// Form of a log line
    #[arg(
        long,
        value_name = "FORMAT",
        default_value_t = defaults::LOG_FORMAT,
        env = "PORTAMENTO_LOG_FORMAT"
    )]
    pub log_format: LogFormat,

    /// Connections that leave a line when they end
    #[arg(
        long,
        value_name = "WHICH",
        default_value_t = defaults::ACCESS_LOG,
        env = "PORTAMENTO_ACCESS_LOG"
    )]
    pub access_log: AccessLog,
}

impl LogArgs {
    pub(super) fn config(&self) -> LogConfig {
        LogConfig {
            level: self.log_level,
            format: self.log_format,
            access_log: self.access_log,
        }
    }
}
