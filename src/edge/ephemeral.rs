//! The ports that the kernel takes for outgoing connections, and the trap in them: whoever connects
//! to one of them where nobody listens may be given that very port, and be connected to itself.

use std::{fs, os::fd::AsFd};

use rustix::net::{SocketAddrAny, getpeername, getsockname};

/// `net.ipv4.ip_local_port_range`, which is IPv6's as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EphemeralPorts {
    pub(crate) low: u16,
    pub(crate) high: u16,
}

impl EphemeralPorts {
    /// The range of this network namespace as it is now. `None`: it can't be read.
    pub(crate) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string(RANGE).ok()?)
    }

    /// Reads what the kernel writes: two numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bounds = text.split_whitespace().map(str::parse);
        let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        bounds.next().is_none().then_some(Self { low, high })
    }

    pub(crate) fn contains(self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }
}

/// Whether a socket that connected to `port` is its own peer.
pub(crate) fn is_its_own_peer(socket: impl AsFd, port: u16) -> bool {
    // One whose connection is over by now has no peer.
    getsockname(&socket)
        .is_ok_and(|own| port_of(&own) == Some(port) && getpeername(&socket) == Ok(Some(own)))
}

fn port_of(address: &SocketAddrAny) -> Option<u16> {
    let address = std::net::SocketAddr::try_from(address.clone()).ok()?;
    Some(address.port())
}

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustix::net::{AddressFamily, bind, connect};

    use super::*;
    use crate::sys;

    #[test]
    fn the_range_is_read_as_the_kernel_writes_it() {
        let range = EphemeralPorts::parse("32768\t60999\n").unwrap();
        assert!(range.contains(32_768) && range.contains(60_999));
        assert!(!range.contains(32_767) && !range.contains(61_000));
        for text in ["", "1", "1 2 3", "a b", "1 65536"] {
            assert_eq!(EphemeralPorts::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_socket_that_is_connected_to_itself_is_its_own_peer() {
        let socket = sys::stream_socket(AddressFamily::INET).unwrap();
        bind(
            &socket,
            &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        )
        .unwrap();
        let own: std::net::SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
        connect(&socket, &own).ok(); // it is under way, and done at once
        assert!(is_its_own_peer(&socket, own.port()));

        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        assert!(!is_its_own_peer(&client, address.port()));
    }
}
