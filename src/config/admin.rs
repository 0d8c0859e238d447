//! Where the admin endpoint listens, as it is typed.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{AddrError, ListenAddr};

/// An address for the admin endpoint, of TCP; `None` is `off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddr(pub Option<ListenAddr>);

impl FromStr for AdminAddr {
    type Err = AdminAddrError;

    fn from_str(text: &str) -> Result<Self, AdminAddrError> {
        if text == OFF {
            return Ok(Self(None));
        }
        match text.parse()? {
            ListenAddr::Unix(_) => Err(AdminAddrError::Unix),
            addr => Ok(Self(Some(addr))),
        }
    }
}

impl fmt::Display for AdminAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

/// Why a text is no address for the admin endpoint.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminAddrError {
    /// No address at all.
    #[error("{0}; or off")]
    Addr(#[from] AddrError),
    /// A unix socket.
    #[error("the admin endpoint listens on TCP only; give IP:PORT or off")]
    Unix,
}

const OFF: &str = "off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_is_tcp_or_off() {
        for text in ["127.0.0.1:9464", "[::1]:9464", "0.0.0.0:0", ":9464", "off"] {
            assert_eq!(text.parse::<AdminAddr>().unwrap().to_string(), text);
        }
        for text in ["", "9464", "unix:/x", "localhost:9464", "OFF"] {
            assert!(text.parse::<AdminAddr>().is_err(), "{text}");
        }
    }
}
