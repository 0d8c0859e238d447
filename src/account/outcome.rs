//! How a connection ends: who ended it, and why.

use std::fmt;

use rustix::io::Errno;

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
    /// The client left before the upstream was reached.
    Gone,
    /// The upstream refused the connection.
    Refused,
    /// `--connect-timeout`.
    ConnectTimeout,
    /// The upstream's name has no address, or `--resolve-timeout`.
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
        Self::Gone,
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
            Self::Gone => "gone",
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

    /// A call on one side's socket failed. It is that side's doing only where the errno is the
    /// network's word of it: for want of memory, or under a sandbox, calls fail on sound connections.
    pub(crate) fn failed(by: By, errno: Errno) -> Self {
        let (by, reason) = match errno {
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => (by, Reason::Reset),
            Errno::TIMEDOUT => (by, Reason::Timeout),
            // What ICMP of either version makes of a connection (Linux: `icmp_err_convert`,
            // `icmpv6_err_convert`), and the routes.
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::CONNREFUSED
            | Errno::NOPROTOOPT
            | Errno::MSGSIZE
            | Errno::OPNOTSUPP
            | Errno::ACCESS
            | Errno::PROTO => (by, Reason::Error),
            _ => (By::Proxy, Reason::Error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_network_says_is_a_sides_doing() {
        for (errno, reason) in [
            (Errno::CONNRESET, Reason::Reset),
            (Errno::PIPE, Reason::Reset),
            (Errno::TIMEDOUT, Reason::Timeout),
            (Errno::HOSTUNREACH, Reason::Error),
        ] {
            let outcome = Outcome::failed(By::Client, errno);
            assert_eq!((outcome.by, outcome.reason), (By::Client, reason));
        }
        for errno in [
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::PERM,
            Errno::IO,
            Errno::BADF,
        ] {
            let outcome = Outcome::failed(By::Client, errno);
            assert_eq!((outcome.by, outcome.reason), (By::Proxy, Reason::Error));
        }
    }
}
