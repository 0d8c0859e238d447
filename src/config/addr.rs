//! Addresses as they are typed, and the pairs made of them.

mod error;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

pub use self::error::AddrError;

/// One listener and where its connections go.
///
/// Typed and shown as `LISTEN=UPSTREAM`, split at the first `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The advertised address.
    pub listen: ListenAddr,
    /// The local address behind it.
    pub upstream: UpstreamAddr,
}

impl FromStr for Forward {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (listen, upstream) = text.split_once('=').ok_or(AddrError::NotAPair)?;
        Ok(Self {
            listen: listen.parse()?,
            upstream: upstream.parse()?,
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.listen, self.upstream)
    }
}

/// An address to listen on.
///
/// Typed and shown as `IP:PORT`, `[V6]:PORT`, `:PORT` or `unix:PATH`; port 0 lets the kernel
/// choose one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// One IP address; an IPv6 one takes no IPv4 connections.
    Ip(SocketAddr),
    /// Every address of the host, IPv6 and IPv4, through one socket.
    DualStack(u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl ListenAddr {
    /// The TCP port; zero is one that the kernel is to choose. `None` for a unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(addr) => Some(addr.port()),
            Self::DualStack(port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        match Typed::parse(text)? {
            Typed::Ip(addr) => Ok(Self::Ip(addr)),
            Typed::Port(port) => Ok(Self::DualStack(port)),
            Typed::Name { .. } => Err(AddrError::NameToListenOn),
            Typed::Unix(path) => Ok(Self::Unix(path)),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::DualStack(port) => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address to connect to.
///
/// Typed and shown as `IP:PORT`, `[V6]:PORT`, `NAME:PORT` or `unix:PATH`; `:PORT` is typed for
/// `localhost:PORT`.
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

impl FromStr for UpstreamAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let addr = match Typed::parse(text)? {
            Typed::Ip(addr) => Self::Ip(addr),
            Typed::Port(port) => Self::Name {
                host: "localhost".to_owned(),
                port,
            },
            Typed::Name { host, port } => Self::Name { host, port },
            Typed::Unix(path) => Self::Unix(path),
        };
        match &addr {
            Self::Ip(ip) if ip.port() == 0 => Err(AddrError::NoPortToConnectTo),
            Self::Name { port: 0, .. } => Err(AddrError::NoPortToConnectTo),
            _ => Ok(addr),
        }
    }
}

impl fmt::Display for UpstreamAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What both kinds of address have in common.
enum Typed {
    Ip(SocketAddr),
    Port(u16),
    Name { host: String, port: u16 },
    Unix(PathBuf),
}

impl Typed {
    fn parse(text: &str) -> Result<Self, AddrError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Self::Unix);
        }
        if text.contains("://") {
            return Err(AddrError::Url);
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(rest).map(Self::Ip);
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(AddrError::NoPort(match text.parse::<u16>() {
                Ok(port) => format!(":{port}"),
                Err(_) => format!("{text}:9095"),
            }));
        };
        if host.contains(':') {
            return Err(AddrError::Brackets);
        }
        let port = parse_port(port)?;
        if host.is_empty() {
            return Ok(Self::Port(port));
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return unicast(SocketAddr::new(ip.into(), port)).map(Self::Ip);
        }
        if !is_host_name(host) {
            return Err(AddrError::Name(host.to_owned()));
        }
        Ok(Self::Name {
            host: host.to_owned(),
            port,
        })
    }
}

/// Reads what follows the `[` of `[V6]:PORT` or `[V6%ZONE]:PORT`.
fn bracketed(rest: &str) -> Result<SocketAddr, AddrError> {
    let (host, port) = rest.split_once(']').ok_or(AddrError::Brackets)?;
    let port = port
        .strip_prefix(':')
        .ok_or_else(|| AddrError::NoPort(format!("[{host}]:9095")))?;
    let port = parse_port(port)?;
    if let Some((_, zone)) = host.split_once('%')
        && zone.parse::<u32>().is_err()
    {
        return Err(AddrError::Zone(zone.to_owned()));
    }
    // The standard library reads a zone only together with a port.
    let addr = format!("[{host}]:{port}")
        .parse()
        .map_err(|_| AddrError::V6(host.to_owned()))?;
    unicast(addr)
}

fn unicast(addr: SocketAddr) -> Result<SocketAddr, AddrError> {
    let ip = addr.ip();
    if let (IpAddr::V6(_), IpAddr::V4(v4)) = (ip, ip.to_canonical()) {
        return Err(AddrError::Mapped(v4));
    }
    if ip.is_multicast() || ip == Ipv4Addr::BROADCAST {
        return Err(AddrError::NotUnicast(ip));
    }
    Ok(addr)
}

fn parse_port(text: &str) -> Result<u16, AddrError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits) // the standard library takes a sign, too
        .ok_or_else(|| AddrError::Port(text.to_owned()))
}

fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit_once('.').map_or(host, |(_, label)| label);
    // A last label of digits is what is left of a mistyped IPv4 address: 127.1, 10.0.0.256.
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && !numeric && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn unix_path(path: &str) -> Result<PathBuf, AddrError> {
    match path {
        "" => Err(AddrError::NoPath),
        _ if path.starts_with('@') => Err(AddrError::Abstract),
        _ if path.len() > PATH_MAX => Err(AddrError::PathLength(path.len())),
        _ if [".", "..", ""].contains(&file_name(path)) => Err(AddrError::Directory),
        _ => Ok(path.into()),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

const PATH_MAX: usize = 107; // bytes: `sun_path` has 108, the last is NUL

#[cfg(test)]
mod tests;
