//! Networks of source addresses: `10.0.0.0/8`, or a single address.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// Reads a CIDR block; a single address is a block of its own.
///
/// # Errors
///
/// A text that is neither, and a block whose address has bits beyond the prefix: it may be
/// meant as that one address or as the whole block, and the difference lets somebody in.
pub fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip),
        Err(_) => text.parse().map_err(|_| NetworkError::Syntax)?,
    };
    if net.addr() != net.network() {
        return Err(NetworkError::HostBits {
            block: net.trunc(),
            single: net.addr(),
        });
    }
    match (net.addr(), net.addr().to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(_)) => Err(NetworkError::Mapped),
        _ => Ok(net),
    }
}

/// Why a text is no network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// No address, or no prefix length.
    #[error("neither a CIDR block nor an address, for example 10.0.0.0/8, fd00::/8 or 192.0.2.7")]
    Syntax,
    /// `10.0.0.7/8`.
    #[error("the address has bits beyond the prefix: write {block} or {single}")]
    HostBits {
        /// The block, if that is meant.
        block: IpNet,
        /// The address, if that is meant.
        single: IpAddr,
    },
    /// `::ffff:10.0.0.0/104`: sources are compared in IPv4 form.
    #[error("IPv4 in IPv6 form never matches: write the IPv4 block or address")]
    Mapped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_single_addresses_are_read() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::/0", "::/0"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), net, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let host_bits = NetworkError::HostBits {
            block: "10.0.0.0/8".parse().unwrap(),
            single: "10.0.0.7".parse().unwrap(),
        };
        for (text, error) in [
            ("", NetworkError::Syntax),
            ("10.0.0.0/33", NetworkError::Syntax),
            ("10.0.0/8", NetworkError::Syntax),
            ("fd00::/129", NetworkError::Syntax),
            ("localhost", NetworkError::Syntax),
            ("10.0.0.0:80", NetworkError::Syntax),
            ("10.0.0.7/8", host_bits),
            ("::ffff:10.0.0.7", NetworkError::Mapped),
            ("::ffff:10.0.0.0/104", NetworkError::Mapped),
        ] {
            assert_eq!(parse_network(text), Err(error), "{text}");
        }
    }
}
