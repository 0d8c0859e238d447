//! Every default and the range around it, in one place: the flags show them, [`Config::for_pair`]
//! takes them.
//!
//! [`Config::for_pair`]: super::Config::for_pair

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::RangeInclusive,
};

use super::{
    AccessLog, AdminAddr, CountLimit, Engine, ListenAddr, LogFormat, LogLevel, Sched, SendProxy,
    UpstreamAddr,
    size::{GIB, KIB, MIB, Size},
    span::{Bounds, Limit, Span},
};

/// Where a live-store's ring entry points.
pub const LISTEN: ListenAddr = ListenAddr::Ip(v4(Ipv4Addr::UNSPECIFIED, 12345));
/// Where a live-store's server listens.
pub const UPSTREAM: UpstreamAddr = UpstreamAddr::Ip(v4(Ipv4Addr::LOCALHOST, 9095));

/// Worker threads that a user may ask for.
pub const WORKERS_RANGE: RangeInclusive<usize> = 1..=256;
/// Copies and splices, by what is seen.
pub const ENGINE: Engine = Engine::Auto;
/// What holds on busy cores, too: a woken batch thread waits there until a neighbour's slice is over.
pub const SCHED: Sched = Sched::Normal;
/// Bytes of a copy buffer: a short receive is dry, and it stays in a core's second-level cache.
pub const BUFFER_SIZE: Size = Size(64 * KIB);
/// Bytes; below a page there is nothing to win, above 16 MiB only memory to lose.
pub const BUFFER_SIZE_RANGE: RangeInclusive<Size> = Size(4 * KIB)..=Size(16 * MIB);
/// Bytes of pipe capacity: what an unprivileged process may have.
pub const PIPE_SIZE: Size = Size(MIB);
/// Bytes; a new pipe has 64 KiB already.
pub const PIPE_SIZE_RANGE: RangeInclusive<Size> = Size(64 * KIB)..=Size(64 * MIB);

/// Twice as long as glibc waits for a name server before it asks the second one.
pub const RESOLVE_TIMEOUT: Span = Span::secs(10);
/// No look-up is waited for any longer.
pub const RESOLVE_TIMEOUT_BOUNDS: Bounds = millis(Span::millis(1), HOUR);
/// Longer than three lost SYNs.
pub const CONNECT_TIMEOUT: Span = Span::secs(5);
/// No connect attempt lasts longer.
pub const CONNECT_TIMEOUT_BOUNDS: Bounds = millis(Span::millis(1), HOUR);
/// Fails fast.
pub const CONNECT_RETRY: Span = Span::secs(0);
/// No client waits longer; zero is not at all.
pub const CONNECT_RETRY_BOUNDS: Bounds = millis(Span::secs(0), HOUR);
/// gRPC connections idle for long, and rightly so.
pub const IDLE_TIMEOUT: Limit = Limit::OFF;
/// What is left to say after a FIN is said soon.
pub const HALF_CLOSE_TIMEOUT: Limit = Limit(Some(Span::secs(30)));
/// As long as the peers like.
pub const MAX_LIFETIME: Limit = Limit::OFF;
/// What idle, half-close and lifetime take.
pub const LIMIT_BOUNDS: Bounds = millis(Span::millis(1), Span::secs(365 * 86_400));
/// Below Kubernetes' default grace of 30 s.
pub const DRAIN_TIMEOUT: Span = Span::secs(25);
/// Zero cuts at once.
pub const DRAIN_TIMEOUT_BOUNDS: Bounds = millis(Span::secs(0), Span::secs(86_400));

/// A source is as free as all others together.
pub const MAX_CONNECTIONS_PER_SOURCE: CountLimit = CountLimit::OFF;
/// As fast as they come.
pub const MAX_ACCEPT_RATE: CountLimit = CountLimit::OFF;
/// What either takes; no host accepts a million connections a second.
pub const COUNT_LIMIT_RANGE: RangeInclusive<usize> = 1..=1_000_000;
/// Connections, and pipes, that a user may ask for: each takes two descriptors, and the numbers of
/// those are an `int`.
pub const COUNT_RANGE: RangeInclusive<usize> = 1..=1_000_000_000;
/// An upstream that does not expect a header takes it for the client's bytes.
pub const PROXY_PROTOCOL: SendProxy = SendProxy::Off;

/// Connections that may wait to be accepted.
pub const BACKLOG: u16 = 1024;
/// Idle time before the first keepalive probe, and between probes.
pub const KEEPALIVE: Limit = Limit(Some(Span::secs(30)));
/// What `TCP_KEEPIDLE` and `TCP_KEEPINTVL` take.
pub const KEEPALIVE_BOUNDS: Bounds = Bounds {
    from: Span::secs(1),
    to: Span::secs(32_767),
    step: Span::secs(1),
};
/// The kernel's clock for it goes on while a slow reader opens its window by less than a segment at a
/// time: one that reads steadily would be given up with the dead.
pub const USER_TIMEOUT: Limit = Limit::OFF;
/// What `TCP_USER_TIMEOUT` takes: an `int` of milliseconds.
pub const USER_TIMEOUT_BOUNDS: Bounds = millis(Span::millis(1), Span::millis(i32::MAX as u64));
/// Bytes of `SO_RCVBUF` and `SO_SNDBUF`.
pub const SOCKET_BUFFER_RANGE: RangeInclusive<Size> = Size(4 * KIB)..=Size(GIB);

/// Beside the process, for whoever is on the host or in the pod.
pub const ADMIN: AdminAddr = AdminAddr(Some(ListenAddr::Ip(v4(Ipv4Addr::LOCALHOST, 9464))));

/// What an operator acts on, and what tells the life of the process.
pub const LOG_LEVEL: LogLevel = LogLevel::Info;
/// Readable without a tool.
pub const LOG_FORMAT: LogFormat = LogFormat::Logfmt;
/// Connections that ended badly.
pub const ACCESS_LOG: AccessLog = AccessLog::Errors;

const HOUR: Span = Span::secs(3600);

const fn v4(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(ip, port))
}

/// Bounds in whole milliseconds, the grain of the runtime's timers.
const fn millis(from: Span, to: Span) -> Bounds {
    Bounds {
        from,
        to,
        step: Span::millis(1),
    }
}
