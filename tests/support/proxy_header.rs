//! Headers of the PROXY protocol, written by hand: whoever tests must not ask the tested.

use std::net::SocketAddr;

/// A line that names these.
pub(crate) fn v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let ports = format!("{} {}", source.port(), destination.port());
    format!("PROXY {family} {from} {to} {ports}\r\n").into_bytes()
}

/// A block that names these IPv4 addresses.
///
/// # Panics
/// One of them is of IPv6.
pub(crate) fn v2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (source, destination) else {
        panic!("not both of IPv4: {source}, {destination}");
    };
    let ips = [source.ip().octets(), destination.ip().octets()].concat();
    let ports = [
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ]
    .concat();
    v2_block(0x21, 0x11, &[ips, ports].concat())
}

/// A block with this command, this family, and the length of the rest.
pub(crate) fn v2_block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        rest,
    ]
    .concat()
}
