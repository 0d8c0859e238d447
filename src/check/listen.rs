//! Can the listen addresses be had, now and after the next restart?

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use rustix::fs::{Access, access};

use super::{Finding, dial, owner::Owners};
use crate::{
    config::{Config, ListenAddr, parent_of},
    edge::bind::{BindError, BoundSocket, advice},
};

/// On this host a listener answers at once.
const BOUND: Duration = Duration::from_secs(1);

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for forward in &config.forwards {
        findings.push(match &forward.listen {
            ListenAddr::Unix(path) => unix(path).await,
            address => tcp(LISTEN, address, config).await,
        });
    }
    if let Some(address) = &config.admin {
        findings.push(tcp("admin", address, config).await);
    }
    let clashes = config.forwards.iter().filter_map(|forward| {
        let port = tcp_port(&forward.listen)?;
        let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
        let range = read("ip_local_port_range")?;
        let reserved = read("ip_local_reserved_ports").unwrap_or_default();
        Some(ephemeral(port, &range, &reserved))
    });
    findings.extend(clashes);
    findings
}

/// The port that a listener has on the network; `None` if the kernel is to choose it.
pub(super) fn tcp_port(address: &ListenAddr) -> Option<u16> {
    address.port().filter(|port| *port != 0)
}

/// Binds, and does not listen: with --reuse-port, a running forwarder would lose connections.
/// `id` is the name of the flag, too.
async fn tcp(id: &'static str, address: &ListenAddr, config: &Config) -> Finding {
    match BoundSocket::bind(address, 0, &config.sockets) {
        Ok(_) => Finding::ok(id, format_args!("{address} can be bound")),
        Err(BindError::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            taken(id, address).await
        }
        Err(BindError::Bind { source, .. }) => Finding::error(
            id,
            format_args!("{address} cannot be bound ({source}){}", advice(&source)),
        ),
        Err(error) => Finding::error(id, error),
    }
}

/// Who has the port: asked by connecting, and named where /proc tells.
async fn taken(id: &'static str, address: &ListenAddr) -> Finding {
    let Some(port) = tcp_port(address) else {
        return Finding::error(
            id,
            format_args!("{address}: no port is free, end what holds them"),
        );
    };
    let target = SocketAddr::new(reachable(address), port);
    if let Err(failure) = dial::tcp(target, BOUND).await {
        return Finding::error(
            id,
            format_args!(
                "{address} is taken, yet {target} does not answer ({failure}): wait for the \
                 socket that has the port, or give another --{id}"
            ),
        );
    }
    held(id, address, &Owners::of_tcp(port))
}

/// Something listens there already: the forwarder that is being checked, or what keeps it out.
fn held(id: &'static str, address: &ListenAddr, owners: &Owners) -> Finding {
    if owners.all_portamento() {
        Finding::ok(
            id,
            format_args!("{address}: {owners} listens there already"),
        )
    } else if owners.any() {
        Finding::error(
            id,
            format_args!("{address}: {owners} listens there; end it, or give another --{id}"),
        )
    } else {
        Finding::warning(
            id,
            format_args!(
                "{address}: a process that cannot be seen from here listens there already; if it \
                 is not portamento, give another --{id}"
            ),
        )
    }
}

/// An address at which a listener can be reached from its own host.
fn reachable(address: &ListenAddr) -> IpAddr {
    match address {
        ListenAddr::Ip(address) if !address.ip().is_unspecified() => address.ip(),
        ListenAddr::Ip(address) if address.is_ipv6() => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Looks without touching: to bind would be to make the file.
async fn unix(path: &Path) -> Finding {
    let address = ListenAddr::Unix(path.to_owned());
    match dial::unix(path, BOUND).await {
        Ok(stream) => {
            let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let owners = peer.map(Owners::of_pid).unwrap_or_default();
            return held(LISTEN, &address, &owners);
        }
        // No file, or one that nobody listens on any more: it will be made anew.
        Err(dial::Failure::Refused) => {}
        Err(failure) => {
            return Finding::error(
                LISTEN,
                format_args!(
                    "{address}: {failure}; give the path of a socket that may be replaced"
                ),
            );
        }
    }
    let parent = parent_of(path);
    match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(LISTEN, format_args!("{address} can be bound")),
        Err(error) => Finding::error(
            LISTEN,
            format_args!(
                "{address}: no file can be made in {} ({error}); give a directory that this user \
                 may write to",
                parent.display()
            ),
        ),
    }
}

/// A port that outgoing connections may take, too, is free by chance.
fn ephemeral(port: u16, range: &str, reserved: &str) -> Finding {
    let bounds: Vec<u16> = range
        .split_whitespace()
        .filter_map(|bound| bound.parse().ok())
        .collect();
    let [low, high] = bounds[..] else {
        return Finding::warning(
            EPHEMERAL,
            format_args!("the range '{range}' cannot be read"),
        );
    };
    let in_range = (low..=high).contains(&port);
    if in_range && !lists(reserved, port) {
        return Finding::warning(
            EPHEMERAL,
            format_args!(
                "port {port} is one of those that outgoing connections take ({low} to {high}), \
                 which can keep portamento from starting: reserve it with sysctl \
                 net.ipv4.ip_local_reserved_ports={port}"
            ),
        );
    }
    let why = match in_range {
        true => "it is reserved",
        false => "it is outside their range",
    };
    Finding::ok(
        EPHEMERAL,
        format_args!("outgoing connections never take port {port}: {why}"),
    )
}

/// Whether a list like `8080,9148-9150` has a port.
fn lists(list: &str, port: u16) -> bool {
    list.trim().split(',').any(|item| {
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        match (low.parse::<u16>(), high.parse()) {
            (Ok(low), Ok(high)) => (low..=high).contains(&port),
            _ => false,
        }
    })
}

const LISTEN: &str = "listen";
const EPHEMERAL: &str = "ephemeral-port";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Level;

    #[test]
    fn a_port_among_the_ephemeral_ones_needs_a_reservation() {
        let range = "32768\t60999\n";
        for (port, reserved, level) in [
            (12345, "\n", Level::Ok),
            (32767, "\n", Level::Ok),
            (32768, "\n", Level::Warning),
            (60999, "\n", Level::Warning),
            (61000, "\n", Level::Ok),
            (40000, "39999,40001-40010\n", Level::Warning),
            (40000, "40000\n", Level::Ok),
            (40000, "8080,39990-40000\n", Level::Ok),
        ] {
            assert_eq!(
                ephemeral(port, range, reserved).level,
                level,
                "{port} {reserved}"
            );
        }
        assert_eq!(ephemeral(1, "?", "").level, Level::Warning);
    }
}
