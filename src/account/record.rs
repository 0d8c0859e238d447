//! The final account of a connection: who ended it, why, after how many bytes each way.

use std::{fmt, rc::Rc, time::Duration};

use rustix::io::Errno;
use tracing::info;

use crate::{
    account::{
        labels::Way,
        live::{Live, UpstreamPeer},
    },
    config::AccessLog,
    sys::errno_name,
};

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Client,
    Upstream,
    Proxy,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Both sides ended their stream; `By` is the one who did so first.
    Fin,
    /// A reset, or a write to a peer that was gone.
    Reset,
    /// The kernel gave a peer up: keepalive or `--user-timeout`.
    Timeout,
    /// Another error of a socket.
    Error,
    /// `--accept-proxy-protocol`: the client's first bytes were no PROXY header.
    ProxyHeader,
    /// `--allow` or `--deny`, of the client that a PROXY header named.
    Acl,
    /// `--max-connections-per-source`, of the client that a PROXY header named.
    SourceLimit,
    /// The upstream refused the connection.
    Refused,
    /// `--connect-timeout`.
    ConnectTimeout,
    /// The upstream's name has no address.
    Resolve,
    /// The upstream could not be reached for another reason.
    ConnectError,
    /// `--idle-timeout`.
    Idle,
    /// `--half-close-timeout`.
    HalfClose,
    /// `--max-lifetime`.
    Lifetime,
    /// The process ended before the connection did.
    Drain,
    /// The connection's task went away unfinished: a bug, or the process was told to end now.
    Aborted,
}

impl By {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Upstream, Self::Proxy];

    /// In records, and as the value of the label `by`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

impl Reason {
    /// In the order of their declaration, which is that of the counters.
    pub(crate) const ALL: [Self; Self::Aborted as usize + 1] = [
        Self::Fin,
        Self::Reset,
        Self::Timeout,
        Self::Error,
        Self::ProxyHeader,
        Self::Acl,
        Self::SourceLimit,
        Self::Refused,
        Self::ConnectTimeout,
        Self::Resolve,
        Self::ConnectError,
        Self::Idle,
        Self::HalfClose,
        Self::Lifetime,
        Self::Drain,
        Self::Aborted,
    ];

    /// In records, and as the value of the label `reason`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::ProxyHeader => "proxy_header",
            Self::Acl => "acl",
            Self::SourceLimit => "source_limit",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Resolve => "resolve",
            Self::ConnectError => "connect_error",
            Self::Idle => "idle_timeout",
            Self::HalfClose => "half_close_timeout",
            Self::Lifetime => "max_lifetime",
            Self::Drain => "drain",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) by: By,
    pub(crate) reason: Reason,
    pub(crate) errno: Option<Errno>,
}

impl Outcome {
    pub(crate) fn new(by: By, reason: Reason) -> Self {
        Self {
            by,
            reason,
            errno: None,
        }
    }

    /// One side's socket failed.
    pub(crate) fn failed(by: By, errno: Errno) -> Self {
        let reason = match errno {
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Reason::Reset,
            Errno::TIMEDOUT => Reason::Timeout,
            _ => Reason::Error,
        };
        Self {
            by,
            reason,
            errno: Some(errno),
        }
    }

    /// This process ended it.
    pub(crate) fn cut(reason: Reason) -> Self {
        Self::new(By::Proxy, reason)
    }
}

/// A connection's account, opened when it is accepted and closed exactly once: by
/// [`ConnectionRecord::close`], or as aborted when its task is dropped.
pub(crate) struct ConnectionRecord {
    live: Rc<Live>,
    access_log: AccessLog,
    worker: usize,
    closed: bool,
}

impl ConnectionRecord {
    pub(crate) fn open(live: Rc<Live>, access_log: AccessLog, worker: usize) -> Self {
        Self {
            live,
            access_log,
            worker,
            closed: false,
        }
    }

    /// Counts the end of the connection and logs it as `--access-log` says.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.write(outcome);
    }

    fn write(&mut self, outcome: Outcome) {
        self.closed = true;
        let duration = self.live.opened.elapsed();
        self.live
            .metrics
            .closed(outcome.by, outcome.reason, duration);
        let wanted = match self.access_log {
            AccessLog::Off => false,
            AccessLog::Errors => outcome.reason != Reason::Fin,
            AccessLog::All => true,
        };
        if wanted {
            self.log(outcome, duration);
        }
    }

    fn log(&self, outcome: Outcome, duration: Duration) {
        let live = &*self.live;
        info!(
            target: "access",
            client = %live.client.get(),
            upstream = live.upstream.get().map(UpstreamPeer::to_string),
            worker = self.worker,
            connect_ms = live.connect_time.get().map(milliseconds),
            duration_ms = milliseconds(duration),
            bytes_to_upstream = live.bytes(Way::ToUpstream),
            bytes_to_client = live.bytes(Way::ToClient),
            closed_by = %outcome.by,
            reason = %outcome.reason,
            errno = outcome.errno.map(errno_name),
            path = live.path(),
            "connection closed"
        );
    }
}

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        if !self.closed {
            self.write(Outcome::cut(Reason::Aborted));
        }
    }
}

/// Milliseconds with three decimals: connects to a local upstream take microseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
