//! The addresses of this host.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// The addresses of this host; the loopback is always among them.
#[derive(Clone, Debug)]
pub(crate) enum OwnAddresses {
    /// Those of the interfaces, which are listed when they are asked about.
    OfInterfaces,
    /// These.
    #[cfg(test)]
    Of(Vec<OwnAddress>),
}

/// An address of an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnAddress {
    ip: IpAddr,
    /// Of the interface. The same link-local address is another host on another interface.
    index: Option<u32>,
}

impl OwnAddresses {
    /// Whether a connection to `address` stays on this host.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        if address.ip().to_canonical().is_loopback() {
            return true;
        }
        match self {
            // A sandbox without AF_NETLINK, as the systemd units have, lists none. And one address of
            // the loopback interface may stand for all of its network, which are not listed.
            Self::OfInterfaces => {
                listed().is_ok_and(|own| own.iter().any(|own| own.is(address)))
                    || is_routed_here(address).unwrap_or(false)
                    || is_delivered_here(address).unwrap_or(false)
            }
            #[cfg(test)]
            Self::Of(own) => own.iter().any(|own| own.is(address)),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(addresses: &[(&str, u32)]) -> Self {
        let own = |(ip, index): &(&str, u32)| {
            let index = Some(*index);
            ip.parse().map(|ip| OwnAddress { ip, index }).unwrap()
        };
        Self::Of(addresses.iter().map(own).collect())
    }
}

impl OwnAddress {
    fn is(self, address: SocketAddr) -> bool {
        let zone = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let same_link = zone == 0 || self.index.is_none_or(|index| index == zone);
        self.ip == address.ip().to_canonical() && same_link
    }
}

fn listed() -> io::Result<Vec<OwnAddress>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let own = interfaces.iter().map(|interface| OwnAddress {
        ip: interface.ip(),
        index: interface.index,
    });
    Ok(own.collect())
}

/// Whether the kernel would send to `address` from that address itself, which it does for its own
/// only. No packet is sent.
fn is_routed_here(address: SocketAddr) -> io::Result<bool> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip() == address.ip())
}

/// Whether the kernel takes what is sent to `address` for its own, though it may send from another
/// address of the same network (IPv4 only). A socket can be bound to it, and it is not left for from
/// the loopback: each alone can be had for any address, by `ip_nonlocal_bind` and `route_localnet`.
/// No packet is sent.
fn is_delivered_here(address: SocketAddr) -> io::Result<bool> {
    let IpAddr::V4(ip) = address.ip().to_canonical() else {
        return Ok(false);
    };
    UdpSocket::bind((ip, 0))?;
    let looped = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    looped.connect((ip, address.port()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn an_address_is_own_on_its_own_link_only() {
        let own = OwnAddresses::of(&[("10.0.0.5", 2), ("fe80::1", 2), ("fd00::5", 3)]);
        for (address, expected) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:80", true),
            ("10.0.0.5:80", true),
            ("[::ffff:10.0.0.5]:80", true),
            ("[fd00::5]:80", true),
            ("[fe80::1%2]:80", true),
            ("[fe80::1%3]:80", false),
            ("10.0.0.6:80", false),
            ("[fd00::6]:80", false),
        ] {
            assert_eq!(own.has(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn the_addresses_of_the_interfaces_are_own() {
        let of_interfaces = |address| OwnAddresses::OfInterfaces.has(address);
        let routed = |address: SocketAddr| is_routed_here(address).unwrap();
        for interface in if_addrs::get_if_addrs().unwrap() {
            let zone = interface.index.filter(|_| interface.is_link_local());
            let address = match interface.ip() {
                IpAddr::V6(ip) => SocketAddrV6::new(ip, 80, 0, zone.unwrap_or(0)).into(),
                ip @ IpAddr::V4(_) => SocketAddr::new(ip, 80),
            };
            assert!(of_interfaces(address) && routed(address), "{interface:?}");
        }
        let others = "198.51.100.1:80".parse().unwrap(); // for documentation only: RFC 5737
        assert!(!of_interfaces(others) && !is_routed_here(others).unwrap_or(false));
        assert!(!is_delivered_here(others).unwrap_or(false));
        assert!(is_delivered_here("127.9.9.9:80".parse().unwrap()).unwrap());
    }
}
