//! Why a text is no address, and what to write instead.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

use super::PATH_MAX;

/// Why a text is no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddrError {
    /// A pair without `=`.
    #[error("a pair is LISTEN=UPSTREAM, for example 0.0.0.0:12345=127.0.0.1:9095")]
    NotAPair,
    /// Something like `http://host`.
    #[error("not a URL: leave out everything up to '://'")]
    Url,
    /// A host without a port, or a port without its colon; holds what may have been meant.
    #[error("a port is missing, for example {0}")]
    NoPort(String),
    /// A port that is no number in range.
    #[error("'{0}' is no port: a port is a number from 0 to 65535")]
    Port(String),
    /// Port 0 for an upstream.
    #[error("an upstream needs a port from 1 to 65535; only a listener may have port 0")]
    NoPortToConnectTo,
    /// `::1:80`.
    #[error("an IPv6 address goes into brackets, for example [::1]:9095")]
    Brackets,
    /// `[...` with something that is no IPv6 address.
    #[error("'{0}' is no IPv6 address")]
    V6(String),
    /// `[fe80::1%eth0]`.
    #[error("the zone '{0}' is no number: give the index of the interface, for example %2")]
    Zone(String),
    /// `[::ffff:127.0.0.1]`.
    #[error("an IPv4 address in IPv6 form: write {0}")]
    Mapped(Ipv4Addr),
    /// Multicast or broadcast.
    #[error("{0} is a multicast or broadcast address; TCP needs the address of one host")]
    NotUnicast(IpAddr),
    /// A name where an address is needed.
    #[error(
        "neither IP:PORT, [V6]:PORT, :PORT nor unix:PATH: a listener has an address, not a name"
    )]
    NameToListenOn,
    /// A name that no resolver would take.
    #[error(
        "'{0}' is neither an IP address nor a host name (letters, digits, '-', '_' and '.', \
         at most 63 a label and 253 in all)"
    )]
    Name(String),
    /// `unix:` and nothing.
    #[error("a path is missing, for example unix:/run/tempo.sock")]
    NoPath,
    /// `unix:@name`.
    #[error("abstract unix sockets are not supported: give a path, for example unix:/run/x.sock")]
    Abstract,
    /// `unix:/dir/`.
    #[error("the path of a unix socket names a file, not a directory")]
    Directory,
    /// A path that does not fit into a `sockaddr_un`.
    #[error("the path has {0} bytes; a unix socket's has at most {PATH_MAX}")]
    PathLength(usize),
}
