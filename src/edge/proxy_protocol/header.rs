//! The header itself: where it ends, what it says, and how it is written; versions 1 and 2 of
//! HAProxy's `proxy-protocol.txt`.
//!
//! It needs nothing of this crate, so that `fuzz/` can include it as it is.

use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

/// Bytes of the longest header that is taken, as nginx has it. Version 2 could announce 64 KiB; what
/// load balancers append to the addresses (a unique id, a host name, the name in a certificate) is
/// some hundred bytes.
pub(crate) const MAX_LEN: usize = 4096;

/// Bytes of the longest line of version 1, by the specification.
const MAX_V1_LEN: usize = 107;

/// Bytes of version 2 before the addresses.
const V2_START: usize = 16;

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = v2::PROTOCOL_PREFIX;

/// Where a connection comes from, and where it was meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// Why bytes are no header.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("neither signature")]
    Signature,
    #[error("too long")]
    TooLong,
    #[error("not ended by CR LF")]
    LineEnd,
    #[error("version 1: {0}")]
    V1(#[from] v1::BinaryParseError),
    #[error("version 2: {0}")]
    V2(#[from] v2::ParseError),
}

/// The length of the header that a stream starts with; `None` where the bytes so far, which all
/// belong to it, don't tell yet.
///
/// # Errors
/// Whatever follows, it will be no header, or one that is too long.
pub(crate) fn length(start: &[u8]) -> Result<Option<usize>, HeaderError> {
    let begins = |signature: &[u8]| start.iter().zip(signature).all(|(a, b)| a == b);
    let length = if begins(V2_SIGNATURE) {
        start
            .get(V2_START - 2..V2_START)
            .map(|length| V2_START + usize::from(u16::from_be_bytes([length[0], length[1]])))
    } else if begins(V1_SIGNATURE) {
        let line = &start[..start.len().min(MAX_V1_LEN)];
        let end = line.iter().position(|byte| *byte == b'\n');
        if end.is_none() && line.len() == MAX_V1_LEN {
            return Err(HeaderError::TooLong);
        }
        end.map(|end| end + 1)
    } else {
        return Err(HeaderError::Signature);
    };
    match length {
        Some(length) if length > MAX_LEN => Err(HeaderError::TooLong),
        length => Ok(length),
    }
}

/// What a whole header says. `None`: nothing, the connection is the sender's own, or one of a kind
/// that it can't describe.
///
/// # Errors
/// It breaks the specification.
pub(crate) fn parse(header: &[u8]) -> Result<Option<Addresses>, HeaderError> {
    if header.starts_with(V2_SIGNATURE) {
        return parse_v2(header);
    }
    if !header.ends_with(b"\r\n") {
        return Err(HeaderError::LineEnd);
    }
    // Whatever follows UNKNOWN is to be ignored; the parser looks at it.
    if let Some(rest) = header.strip_prefix(V1_UNKNOWN)
        && (rest == b"\r\n" || rest[0] == b' ' && !rest[..rest.len() - 2].contains(&b'\r'))
    {
        return Ok(None);
    }
    let parsed = v1::Header::try_from(header)?;
    if parsed.header.len() != header.len() {
        return Err(HeaderError::LineEnd); // a CR inside the line
    }
    Ok(match parsed.addresses {
        v1::Addresses::Tcp4(ip) => Some(Addresses {
            source: (ip.source_address, ip.source_port).into(),
            destination: (ip.destination_address, ip.destination_port).into(),
        }),
        v1::Addresses::Tcp6(ip) => Some(Addresses {
            source: (ip.source_address, ip.source_port).into(),
            destination: (ip.destination_address, ip.destination_port).into(),
        }),
        v1::Addresses::Unknown => None,
    })
}

/// LOCAL counts whatever family stands beside it; the crate is stricter there than the
/// specification.
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";
const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;

fn parse_v2(header: &[u8]) -> Result<Option<Addresses>, HeaderError> {
    if header.len() >= V2_START && header[V2_SIGNATURE.len()] == V2_LOCAL {
        return Ok(None);
    }
    let parsed = v2::Header::try_from(header)?;
    // What is no TCP connection is described by its own addresses, as HAProxy has it.
    Ok(match (parsed.protocol, parsed.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => Some(Addresses {
            source: (ip.source_address, ip.source_port).into(),
            destination: (ip.destination_address, ip.destination_port).into(),
        }),
        (v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => Some(Addresses {
            source: (ip.source_address, ip.source_port).into(),
            destination: (ip.destination_address, ip.destination_port).into(),
        }),
        _ => None,
    })
}

/// What is told of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// It came by TCP.
    Tcp(Addresses),
    /// It came by the unix socket at this path.
    Unix(&'a [u8]),
    /// There is none: the connection is the proxy's own.
    Nobody,
}

impl Told<'_> {
    /// The line of version 1.
    pub(crate) fn v1(self) -> Vec<u8> {
        let Self::Tcp(addresses) = self else {
            return b"PROXY UNKNOWN\r\n".to_vec();
        };
        let (source, destination) = addresses.of_one_family();
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        let ports = (source.port(), destination.port());
        format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
    }

    /// The block of version 2.
    pub(crate) fn v2(self) -> Vec<u8> {
        let mut ends = Vec::with_capacity(2 * UNIX_NAME_LEN);
        let command = match self {
            Self::Nobody => V2_LOCAL,
            Self::Tcp(_) | Self::Unix(_) => V2_PROXY,
        };
        let (family, length) = match self {
            Self::Nobody => UNSPECIFIED,
            Self::Tcp(addresses) => {
                let (source, destination) = addresses.of_one_family();
                for ip in [source.ip(), destination.ip()] {
                    match ip {
                        IpAddr::V4(ip) => ends.extend(ip.octets()),
                        IpAddr::V6(ip) => ends.extend(ip.octets()),
                    }
                }
                ends.extend(source.port().to_be_bytes());
                ends.extend(destination.port().to_be_bytes());
                if source.is_ipv4() { TCP4 } else { TCP6 }
            }
            Self::Unix(path) => {
                ends.resize(UNIX_NAME_LEN, 0); // the client's socket has no name
                ends.extend(&path[..path.len().min(UNIX_NAME_LEN)]);
                ends.resize(2 * UNIX_NAME_LEN, 0);
                UNIX_STREAM
            }
        };
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family, 0, length]);
        header.extend(ends);
        header
    }
}

/// Family and protocol, and the bytes of both addresses.
const UNSPECIFIED: (u8, u8) = (0x00, 0);
const TCP4: (u8, u8) = (0x11, 12);
const TCP6: (u8, u8) = (0x21, 36);
const UNIX_STREAM: (u8, u8) = (0x31, 216);

/// Bytes of a unix socket's name.
const UNIX_NAME_LEN: usize = 108;

impl Addresses {
    /// Both as IPv4 where they are, also in IPv6 form, else both as IPv6.
    fn of_one_family(self) -> (SocketAddr, SocketAddr) {
        let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
        match (canonical(self.source), canonical(self.destination)) {
            (source, destination) if source.is_ipv4() == destination.is_ipv4() => {
                (source, destination)
            }
            (source, destination) => (mapped(source), mapped(destination)),
        }
    }
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

#[cfg(test)]
#[path = "header/tests.rs"] // also for rustfmt, where fuzz/ includes this file
mod tests;
