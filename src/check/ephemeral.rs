//! Can an outgoing connection take a port that a server needs?

use std::fs;

use super::{Finding, listen::tcp_port};
use crate::{
    config::{Config, OwnAddresses, UpstreamAddr},
    edge::ephemeral::EphemeralPorts,
};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
    let Some(range) = read("ip_local_port_range") else {
        return Vec::new();
    };
    let reserved = read("ip_local_reserved_ports").unwrap_or_default();
    let listens = config.forwards.iter().filter_map(|forward| {
        let port = tcp_port(&forward.listen)?;
        Some(judge(Port::Listen(port), &range, &reserved))
    });
    let own = OwnAddresses::OfInterfaces;
    let mut upstreams: Vec<_> = config
        .forwards
        .iter()
        .filter_map(|forward| match &forward.upstream {
            // Another host's ports are its own.
            UpstreamAddr::Ip(address) if !(own.has(*address) || address.ip().is_unspecified()) => {
                None
            }
            UpstreamAddr::Ip(address) => Some(address.port()),
            UpstreamAddr::Name { port, .. } => Some(*port),
            UpstreamAddr::Unix(_) => None,
        })
        .collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    let upstreams = upstreams
        .into_iter()
        .map(|port| judge(Port::Upstream(port), &range, &reserved));
    listens.chain(upstreams).collect()
}

/// Whose port it is.
#[derive(Clone, Copy, Debug)]
enum Port {
    Listen(u16),
    Upstream(u16),
}

impl Port {
    fn number(self) -> u16 {
        match self {
            Self::Listen(port) | Self::Upstream(port) => port,
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Listen(_) => "ephemeral-port",
            Self::Upstream(_) => "upstream-port",
        }
    }

    fn harm(self) -> &'static str {
        match self {
            Self::Listen(_) => "which can keep portamento from starting",
            Self::Upstream(_) => {
                "which can keep the server from starting, and have a connect meet itself while \
                 nobody listens (that counts as refused)"
            }
        }
    }
}

/// A port that outgoing connections may take, too, is free by chance.
fn judge(port: Port, range: &str, reserved: &str) -> Finding {
    let (id, number) = (port.id(), port.number());
    let Some(ports) = EphemeralPorts::parse(range) else {
        return Finding::warning(id, format_args!("the range '{range}' cannot be read"));
    };
    let in_range = ports.contains(number);
    if in_range && !lists(reserved, number) {
        let (EphemeralPorts { low, high }, harm) = (ports, port.harm());
        return Finding::warning(
            id,
            format_args!(
                "port {number} is one of those that outgoing connections take ({low} to {high}), \
                 {harm}: reserve it with sysctl net.ipv4.ip_local_reserved_ports={number}"
            ),
        );
    }
    let why = match in_range {
        true => "it is reserved",
        false => "it is outside their range",
    };
    Finding::ok(
        id,
        format_args!("outgoing connections never take port {number}: {why}"),
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
            for port in [Port::Listen(port), Port::Upstream(port)] {
                assert_eq!(
                    judge(port, range, reserved).level,
                    level,
                    "{port:?} {reserved}"
                );
            }
        }
        assert_eq!(judge(Port::Listen(1), "?", "").level, Level::Warning);
    }
}
