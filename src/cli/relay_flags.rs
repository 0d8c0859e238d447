//! The flags about what is forwarded, how, and for how long.

use std::num::NonZeroUsize;

use crate::config::{
    Engine, Forward, Limit, ListenAddr, RelayConfig, Sched, Size, Span, Timeouts, UpstreamAddr,
    Workers, defaults, parse_count,
};

/// From where to where.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Forwarding")]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[V6] is help for a terminal, no link"
)]
pub struct PairArgs {
    /// Advertised address [default: 0.0.0.0:12345, or none where only --forward is given]
    ///
    /// IP:PORT, [V6]:PORT, :PORT (IPv6 and IPv4, every address of the host) or unix:PATH. Port 0
    /// takes a free one.
    #[arg(short, long, value_name = "ADDR", env = "PORTAMENTO_LISTEN")]
    pub listen: Option<ListenAddr>,

    /// Local address behind it [default: 127.0.0.1:9095, or none where only --forward is given]
    ///
    /// IP:PORT, [V6]:PORT, :PORT (of localhost), NAME:PORT (resolved at each connect, every address
    /// tried) or unix:PATH.
    #[arg(short, long, value_name = "ADDR", env = "PORTAMENTO_UPSTREAM")]
    pub upstream: Option<UpstreamAddr>,

    /// Another pair to forward; repeatable, or separated by commas [default: none]
    ///
    /// With --listen or --upstream, their pair comes first. The pair is split at its first '=';
    /// a path with a comma goes into --listen or --upstream.
    #[arg(
        long,
        value_name = "LISTEN=UPSTREAM",
        value_delimiter = ',',
        env = "PORTAMENTO_FORWARD"
    )]
    pub forward: Vec<Forward>,
}

/// Who moves bytes, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Workers and engine")]
pub struct RelayArgs {
    /// Worker threads: auto, or 1 to 256
    ///
    /// auto: as many as the CPUs that the process may use, by affinity mask and by cgroup quota
    /// (rounded up), but at most 4.
    #[arg(
        short,
        long,
        value_name = "auto|N",
        default_value_t = Workers(None),
        env = "PORTAMENTO_WORKERS"
    )]
    pub workers: Workers,

    /// How bytes move
    #[arg(long, value_name = "ENGINE", default_value_t = defaults::ENGINE, env = "PORTAMENTO_ENGINE")]
    pub engine: Engine,

    /// Scheduling class of the workers; normal where batch cannot be had
    ///
    /// batch takes a third less CPU for each call, where no other process keeps the cores busy;
    /// where some do, it makes each call some milliseconds slower.
    #[arg(long, value_name = "CLASS", default_value_t = defaults::SCHED, env = "PORTAMENTO_SCHED")]
    pub sched: Sched,

    /// Size of a copy buffer: 4KiB to 16MiB; bytes, KiB or MiB
    ///
    /// A connection has one only while bytes are under way.
    #[arg(
        long,
        value_name = "SIZE",
        default_value_t = defaults::BUFFER_SIZE,
        value_parser = |text: &str| Size::parse_within(text, &defaults::BUFFER_SIZE_RANGE),
        env = "PORTAMENTO_BUFFER_SIZE"
    )]
    pub buffer_size: Size,

    /// Capacity to ask for each pipe: 64KiB to 64MiB; bytes, KiB or MiB
    ///
    /// The kernel rounds it up to a power of two, and grants an unprivileged process at most
    /// fs.pipe-max-size (usually 1MiB): where it is less than asked for, pipes are so large.
    #[arg(
        long,
        value_name = "SIZE",
        default_value_t = defaults::PIPE_SIZE,
        value_parser = |text: &str| Size::parse_within(text, &defaults::PIPE_SIZE_RANGE),
        env = "PORTAMENTO_PIPE_SIZE"
    )]
    pub pipe_size: Size,

    /// Pipes at most, all workers together: 1 to 1000000000; without one, bytes are copied
    /// [default: by worker]
    #[arg(long, value_name = "N", value_parser = parse_count, env = "PORTAMENTO_MAX_PIPES")]
    pub max_pipes: Option<NonZeroUsize>,
}

impl RelayArgs {
    pub(super) fn config(&self) -> RelayConfig {
        RelayConfig {
            engine: self.engine,
            buffer_size: self.buffer_size.0,
            pipe_size: self.pipe_size.0,
            max_pipes: self.max_pipes,
        }
    }
}

/// Bounds on time.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Time limits")]
pub struct TimeoutArgs {
    /// Time to look up the upstream's name: 1ms to 1h
    ///
    /// A resolver asks the second name server when the first has been silent for 5s. Many who wait
    /// for the same name share one look-up.
    #[arg(
        long,
        value_name = "DUR",
        default_value_t = defaults::RESOLVE_TIMEOUT,
        value_parser = |text: &str| Span::parse_within(text, defaults::RESOLVE_TIMEOUT_BOUNDS),
        env = "PORTAMENTO_RESOLVE_TIMEOUT"
    )]
    pub resolve_timeout: Span,

    /// Time to connect to the upstream: 1ms to 1h
    ///
    /// Bounds one attempt as a whole, every address of a name together, from when they are known.
    /// With --connect-retry, each further attempt has it anew.
    #[arg(
        long,
        value_name = "DUR",
        default_value_t = defaults::CONNECT_TIMEOUT,
        value_parser = |text: &str| Span::parse_within(text, defaults::CONNECT_TIMEOUT_BOUNDS),
        env = "PORTAMENTO_CONNECT_TIMEOUT"
    )]
    pub connect_timeout: Span,

    /// How long a refused upstream is tried again before the client is reset: 0s to 1h
    ///
    /// 0s: not at all. It may exceed --connect-timeout, which bounds each attempt on its own; no
    /// attempt starts after this time. Pauses grow from 50ms to 250ms. A client that leaves
    /// meanwhile is let go, also one that has only ended its stream.
    #[arg(
        long,
        value_name = "DUR",
        default_value_t = defaults::CONNECT_RETRY,
        value_parser = |text: &str| Span::parse_within(text, defaults::CONNECT_RETRY_BOUNDS),
        env = "PORTAMENTO_CONNECT_RETRY"
    )]
    pub connect_retry: Span,

    /// Ends a connection without a byte either way for so long: off, or 1ms to 365d
    ///
    /// A peer that still takes what was sent to it, however slowly, is not silent.
    #[arg(
        long,
        value_name = "DUR|off",
        default_value_t = defaults::IDLE_TIMEOUT,
        value_parser = |text: &str| Limit::parse_within(text, defaults::LIMIT_BOUNDS),
        env = "PORTAMENTO_IDLE_TIMEOUT"
    )]
    pub idle_timeout: Limit,

    /// The same once one side has sent its FIN: off, or 1ms to 365d
    ///
    /// It also bounds how long a reset of one side waits until the other has all that came before it.
    #[arg(
        long,
        value_name = "DUR|off",
        default_value_t = defaults::HALF_CLOSE_TIMEOUT,
        value_parser = |text: &str| Limit::parse_within(text, defaults::LIMIT_BOUNDS),
        env = "PORTAMENTO_HALF_CLOSE_TIMEOUT"
    )]
    pub half_close_timeout: Limit,

    /// Age at which a connection is ended: off, or 1ms to 365d
    ///
    /// Makes clients balance again. A tenth more or less, by chance, keeps them from coming back
    /// all at once. It ends in a quiet moment; without one for 10s it reads no more, delivers what it
    /// has taken, and resets.
    #[arg(
        long,
        value_name = "DUR|off",
        default_value_t = defaults::MAX_LIFETIME,
        value_parser = |text: &str| Limit::parse_within(text, defaults::LIMIT_BOUNDS),
        env = "PORTAMENTO_MAX_LIFETIME"
    )]
    pub max_lifetime: Limit,

    /// Time that connections have to end after SIGTERM: 0s (none) to 1d
    ///
    /// The default stays below the 30s that Kubernetes grants.
    #[arg(
        long,
        value_name = "DUR",
        default_value_t = defaults::DRAIN_TIMEOUT,
        value_parser = |text: &str| Span::parse_within(text, defaults::DRAIN_TIMEOUT_BOUNDS),
        env = "PORTAMENTO_DRAIN_TIMEOUT"
    )]
    pub drain_timeout: Span,
}

impl TimeoutArgs {
    pub(super) fn config(&self) -> Timeouts {
        Timeouts {
            resolve: self.resolve_timeout.0,
            connect: self.connect_timeout.0,
            connect_retry: self.connect_retry.0,
            idle: self.idle_timeout.duration(),
            half_close: self.half_close_timeout.duration(),
            lifetime: self.max_lifetime.duration(),
            drain: self.drain_timeout.0,
        }
    }
}
