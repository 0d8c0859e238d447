//! Can the listen addresses be had, now and after the next restart?

use std::{
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
            format_args!(
                "{address} cannot be bound ({source}){}",
                advice(address, &source)
            ),
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

const LISTEN: &str = "listen";
