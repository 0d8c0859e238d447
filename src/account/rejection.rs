//! Why a connection is turned away.

use std::fmt;

/// Why a connection is reset before it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// `--max-accept-rate`.
    Limit,
    /// `--max-connections-per-source`.
    SourceLimit,
    /// `--allow` or `--deny`.
    Acl,
    /// `--accept-proxy-protocol`: no header that is valid, or a peer that may not send one.
    ProxyHeader,
}

impl Rejection {
    /// Every one, in their order.
    pub(crate) const ALL: [Self; 4] =
        [Self::Limit, Self::SourceLimit, Self::Acl, Self::ProxyHeader];

    /// The value of the label `reason`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::SourceLimit => "source_limit",
            Self::Acl => "acl",
            Self::ProxyHeader => "proxy_header",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
