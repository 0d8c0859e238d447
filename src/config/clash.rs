//! What pairs must not be to each other: overlapping listeners, or a way back to oneself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::{
    AdminAddr, ConfigError, Forward, Given, ListenAddr, OwnAddresses, SocketFileError,
    UpstreamAddr, display::list, socket_file,
};

/// A pair, and the flags that gave it; both are the same one for `--forward`.
pub(crate) struct GivenForward {
    pub(crate) forward: Forward,
    pub(crate) listen: Given,
    pub(crate) upstream: Given,
}

/// Finds the first clash between the listeners, or of one with the file system.
pub(crate) fn check_listeners(pairs: &[GivenForward]) -> Result<(), ConfigError> {
    for (index, second) in pairs.iter().enumerate() {
        for first in &pairs[..index] {
            if overlap(&first.forward.listen, &second.forward.listen) {
                return Err(ConfigError::ListenersOverlap {
                    first: first.listen.clone(),
                    second: second.listen.clone(),
                });
            }
        }
    }
    for pair in pairs {
        if let ListenAddr::Unix(path) = &pair.forward.listen {
            socket_file::check_listen(path).map_err(|error| wrong_file(&pair.listen, error))?;
        }
    }
    Ok(())
}

/// Finds the first upstream that leads back to a listener, or clashes with the file system.
///
/// `own` are the addresses of this host. Names are not resolved, except `localhost`: what a resolver
/// says now, it need not say later. So a name that leads back, and an address that this host gets
/// later, are seen by `portamento check` only, which resolves and looks while the forwarder runs.
pub(crate) fn check_upstreams(
    pairs: &[GivenForward],
    own: &OwnAddresses,
) -> Result<(), ConfigError> {
    for from in pairs {
        for to in pairs {
            if leads_to(&from.forward.upstream, &to.forward.listen, own) {
                return Err(ConfigError::Loop {
                    upstream: from.upstream.clone(),
                    listen: to.listen.clone(),
                });
            }
        }
    }
    for pair in pairs {
        if let UpstreamAddr::Unix(path) = &pair.forward.upstream {
            socket_file::check_upstream(path).map_err(|error| wrong_file(&pair.upstream, error))?;
        }
    }
    Ok(())
}

/// Finds a pair that the admin endpoint is in the way of.
pub(crate) fn check_admin(
    pairs: &[GivenForward],
    admin: &AdminAddr,
    own: &OwnAddresses,
) -> Result<(), ConfigError> {
    let AdminAddr(Some(address)) = admin else {
        return Ok(());
    };
    let given = Given::new("--admin", admin);
    for pair in pairs {
        if overlap(&pair.forward.listen, address) {
            return Err(ConfigError::ListenersOverlap {
                first: pair.listen.clone(),
                second: given,
            });
        }
        if leads_to(&pair.forward.upstream, address, own) {
            return Err(ConfigError::Loop {
                upstream: pair.upstream.clone(),
                listen: given,
            });
        }
    }
    Ok(())
}

/// Finds a listener whose clients `--accept-proxy-protocol` would all turn away.
pub(crate) fn check_proxies(pairs: &[GivenForward], accept: &[IpNet]) -> Result<(), ConfigError> {
    let unaddressed = pairs
        .iter()
        .find(|pair| matches!(pair.forward.listen, ListenAddr::Unix(_)));
    match unaddressed {
        Some(pair) if !accept.is_empty() => Err(ConfigError::UnaddressedProxies {
            accept: Given::new("--accept-proxy-protocol", &list(accept)),
            listen: pair.listen.clone(),
        }),
        _ => Ok(()),
    }
}

fn wrong_file(given: &Given, source: SocketFileError) -> ConfigError {
    ConfigError::SocketFile {
        given: given.clone(),
        source,
    }
}

/// Whether the kernel would refuse to bind both. Port 0 becomes a free port.
fn overlap(a: &ListenAddr, b: &ListenAddr) -> bool {
    use ListenAddr::{DualStack, Ip, Unix};
    match (a, b) {
        (Unix(a), Unix(b)) => socket_file::same_file(a, b),
        (Unix(_), _) | (_, Unix(_)) => false,
        (Ip(a), Ip(b)) => {
            let family = a.is_ipv4() == b.is_ipv4();
            let any = a.ip().is_unspecified() || b.ip().is_unspecified();
            same_port(a.port(), b.port()) && (same_host(*a, *b) || family && any)
        }
        (DualStack(a), DualStack(b)) => same_port(*a, *b),
        (DualStack(port), Ip(addr)) | (Ip(addr), DualStack(port)) => same_port(*port, addr.port()),
    }
}

/// Whether a connection to `upstream` would arrive at `listen`.
fn leads_to(upstream: &UpstreamAddr, listen: &ListenAddr, own: &OwnAddresses) -> bool {
    match (upstream, listen) {
        (UpstreamAddr::Unix(upstream), ListenAddr::Unix(listen)) => {
            socket_file::same_file(upstream, listen)
        }
        (UpstreamAddr::Ip(addr), _) => accepts(listen, *addr, own),
        (UpstreamAddr::Name { host, port }, _) if is_localhost(host) => {
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
                .into_iter()
                .any(|ip: IpAddr| accepts(listen, SocketAddr::new(ip, *port), own))
        }
        (UpstreamAddr::Name { .. } | UpstreamAddr::Unix(_), _) => false,
    }
}

/// Whether a connection from this host to `to` arrives at `listen`, a listener on this host.
pub(crate) fn accepts(listen: &ListenAddr, to: SocketAddr, own: &OwnAddresses) -> bool {
    let to = destination(to);
    match listen {
        ListenAddr::Unix(_) => false,
        ListenAddr::DualStack(port) => same_port(*port, to.port()) && own.has(to),
        ListenAddr::Ip(addr) if addr.ip().is_unspecified() => {
            let family = addr.is_ipv4() == to.is_ipv4();
            same_port(addr.port(), to.port()) && family && own.has(to)
        }
        ListenAddr::Ip(addr) => same_port(addr.port(), to.port()) && same_host(*addr, to),
    }
}

/// Where the kernel takes a connection: to the loopback for the unspecified address, and by IPv4 for
/// an IPv4 address in IPv6 form.
fn destination(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip().to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(_) => return addr, // with its zone
    };
    SocketAddr::new(ip, addr.port())
}

fn same_port(a: u16, b: u16) -> bool {
    a == b && a != 0
}

/// Whether the addresses are equal, zone included: the same link-local address is another host
/// on another interface.
fn same_host(a: SocketAddr, b: SocketAddr) -> bool {
    let zone = |addr| match addr {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    };
    a.ip() == b.ip() && zone(a) == zone(b)
}

/// RFC 6761: `localhost` and whatever ends in `.localhost`.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit_once('.').map_or(host, |(_, label)| label);
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests;
