//! Where a socket is bound, whoever has bound it.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    os::{
        fd::BorrowedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
};

use rustix::net::{SocketAddrUnix, getsockname, sockopt};

use crate::config::ListenAddr;

/// Where a socket is bound, as one would type it. An abstract unix socket has no such form: it is
/// shown by its name behind an `@`.
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> ListenAddr {
    let Ok(address) = getsockname(fd) else {
        return ListenAddr::Unix(PathBuf::new());
    };
    match (
        address.clone().try_into(),
        SocketAddrUnix::try_from(address),
    ) {
        (Ok(SocketAddr::V6(ip)), _) => match ip.ip().to_ipv4_mapped() {
            Some(v4) => ListenAddr::Ip((v4, ip.port()).into()),
            None if ip.ip().is_unspecified() && sockopt::ipv6_v6only(fd) == Ok(false) => {
                ListenAddr::DualStack(ip.port())
            }
            None => ListenAddr::Ip(ip.into()),
        },
        (Ok(ip), _) => ListenAddr::Ip(ip),
        (Err(_), Ok(unix)) => {
            let path = unix.path_bytes().map(OsStr::from_bytes).map(PathBuf::from);
            let name = || [b"@", unix.abstract_name().unwrap_or_default()].concat();
            ListenAddr::Unix(path.unwrap_or_else(|| OsString::from_vec(name()).into()))
        }
        (Err(_), Err(_)) => ListenAddr::Unix(PathBuf::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::{
            fd::AsFd,
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener},
        },
    };

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn shown(socket: impl AsFd) -> String {
        local_address(socket.as_fd()).to_string()
    }

    #[test]
    fn a_socket_is_where_it_would_be_typed() {
        let v4 = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = v4.local_addr().unwrap().port();
        assert_eq!(shown(&v4), format!("0.0.0.0:{port}"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        assert_eq!(shown(&unix), format!("unix:{}", path.display()));
        let name = format!("portamento-address-{}", std::process::id());
        let unix = SocketAddr::from_abstract_name(&name).unwrap();
        let unix = UnixListener::bind_addr(&unix).unwrap();
        assert_eq!(shown(&unix), format!("unix:@{name}"));
        assert_eq!(shown(tempfile::tempfile().unwrap()), "unix:");

        for (address, only, expected) in [
            ("[::]:0", false, ":"),
            ("[::]:0", true, "[::]:"),
            ("[::1]:0", false, "[::1]:"),
            ("[::ffff:127.0.0.1]:0", false, "127.0.0.1:"),
        ] {
            let Ok(v6) = Socket::new(Domain::IPV6, Type::STREAM, None) else {
                return; // the kernel has no IPv6
            };
            v6.set_only_v6(only).unwrap();
            let bound: std::net::SocketAddr = address.parse().unwrap();
            if v6.bind(&bound.into()).is_ok() {
                let port = v6.local_addr().unwrap().as_socket().unwrap().port();
                assert_eq!(shown(&v6), format!("{expected}{port}"), "{address}");
            }
        }
    }
}
