//! The addresses of this host.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// What the interfaces had when it was asked; the loopback is always among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnAddresses(Vec<OwnAddress>);

#[derive(Clone, Copy, Debug)]
struct OwnAddress {
    ip: IpAddr,
    /// Of the interface. The same link-local address is another host on another interface.
    index: Option<u32>,
}

impl OwnAddresses {
    /// Asks for the addresses of all interfaces.
    ///
    /// # Errors
    /// They can't be listed.
    pub(crate) fn of_interfaces() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        let own = interfaces.iter().map(|interface| OwnAddress {
            ip: interface.ip(),
            index: interface.index,
        });
        Ok(Self(own.collect()))
    }

    /// Whether a connection to `address` stays on this host.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let zone = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let same_link = |index: Option<u32>| zone == 0 || index.is_none_or(|index| index == zone);
        let is_own = |own: &OwnAddress| own.ip == ip && same_link(own.index);
        ip.is_loopback() || self.0.iter().any(is_own)
    }

    #[cfg(test)]
    pub(crate) fn of(addresses: &[(&str, u32)]) -> Self {
        let own = |(ip, index): &(&str, u32)| {
            let index = Some(*index);
            ip.parse().map(|ip| OwnAddress { ip, index }).unwrap()
        };
        Self(addresses.iter().map(own).collect())
    }
}

#[cfg(test)]
mod tests {
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
        let own = OwnAddresses::of_interfaces().unwrap();
        for interface in if_addrs::get_if_addrs().unwrap() {
            assert!(
                own.has(SocketAddr::new(interface.ip(), 80)),
                "{interface:?}"
            );
        }
        assert!(!own.has("192.0.2.1:80".parse().unwrap())); // for documentation only: RFC 5737
    }
}
