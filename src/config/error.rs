//! What makes valid values an invalid whole.

use std::fmt;

use thiserror::Error;

use super::{congestion::Unavailable, socket_file::SocketFileError};

/// Why values that are each valid cannot be used together, or not on this host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two listeners want the same port of the same address, or the same path.
    #[error("{first} and {second}: their listeners overlap; give each its own port or path")]
    ListenersOverlap {
        /// The one typed first.
        first: Given,
        /// The other.
        second: Given,
    },
    /// An upstream is one of the forwarder's own listeners.
    #[error(
        "{upstream}: leads back to the forwarder itself, at {listen}; give the address of the \
         server behind it"
    )]
    Loop {
        /// Where the upstream was typed.
        upstream: Given,
        /// Where the listener was typed.
        listen: Given,
    },
    /// PROXY headers are accepted by the sender's address, and a listener's clients have none.
    #[error(
        "{accept} and {listen}: the clients of a unix socket have no address, so that each would \
         be turned away; listen on a port"
    )]
    UnaddressedProxies {
        /// The networks.
        accept: Given,
        /// The unix socket.
        listen: Given,
    },
    /// A path that cannot be the unix socket that it should be.
    #[error("{given}: {source}")]
    SocketFile {
        /// Where the path was typed.
        given: Given,
        /// What is wrong with it.
        source: SocketFileError,
    },
    /// A congestion control that this kernel, or this user, does not have.
    #[error("{given}: {source}")]
    Congestion {
        /// The name.
        given: Given,
        /// What there is instead.
        source: Unavailable,
    },
}

/// A flag and its value, shown as `--flag 'value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The long flag, with its dashes.
    pub flag: &'static str,
    /// The value, as it would be typed.
    pub value: String,
}

impl Given {
    pub(crate) fn new(flag: &'static str, value: &impl ToString) -> Self {
        Self {
            flag,
            value: value.to_string(),
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.flag, self.value)
    }
}
