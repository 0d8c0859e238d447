//! The sockets that clients come in by: bound to an address, or passed on by another process.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, bind, connect, getsockname, sockopt},
};

use super::options;
use crate::{
    config::{ListenAddr, SocketOptions},
    sys,
};

/// A socket that is bound, and listens from [`BoundSocket::listen`] on.
pub(crate) struct BoundSocket {
    /// For a unix socket of our own. It goes first: while the socket is there, no other file has its
    /// identity.
    pub(crate) file: Option<SocketFile>,
    pub(crate) fd: OwnedFd,
    /// Which of the forwards it belongs to.
    pub(crate) forward: usize,
    /// Other sockets may have the same port (`--reuse-port`). An inherited socket is no such case:
    /// there the others have this very socket.
    pub(crate) shares_port: bool,
    /// The number that it was passed on by, if it was.
    pub(crate) descriptor: Option<usize>,
}

/// The file of a unix socket, removed in the end, unless it has become somebody else's.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Which file it is.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// The file that a socket was just bound to.
    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: Self::identity(path),
        }
    }

    fn identity(path: &Path) -> Option<(u64, u64)> {
        let file = fs::symlink_metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity == Self::identity(&self.path) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Why a listener can't be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address can't be had.
    #[error("--listen '{listen}': {source}{}", advice(.listen, .source))]
    Bind {
        /// As the user typed it.
        listen: ListenAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// A socket that was passed on can't listen.
    #[error("LISTEN_FDS: descriptor {descriptor}, at '{listen}', can't listen: {source}")]
    Inherited {
        /// Its number.
        descriptor: usize,
        /// Where it is bound.
        listen: ListenAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// An option of the socket can't be had.
    #[error("{flag} on the listener '{listen}': {source}")]
    Option {
        /// The flag that asks for it.
        flag: &'static str,
        /// As the user typed it.
        listen: ListenAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another process listens on the unix socket.
    #[error("--listen '{listen}': another process listens there")]
    Taken {
        /// As the user typed it.
        listen: ListenAddr,
    },
}

/// The number of the first descriptor that is passed on, by sd_listen_fds(3).
pub(crate) const FIRST_PASSED: usize = 3;

/// What to do about an address that can't be had.
pub(crate) fn advice(listen: &ListenAddr, error: &io::Error) -> &'static str {
    match (error.kind(), listen.port()) {
        (io::ErrorKind::PermissionDenied, None) => {
            "; this user may not make the file, or not remove the one that is there"
        }
        (io::ErrorKind::AddrInUse, Some(_)) => {
            "; another process has this port (--reuse-port on both lets them share it)"
        }
        (io::ErrorKind::AddrNotAvailable, _) => "; no interface of this host has this address",
        (io::ErrorKind::PermissionDenied, Some(0..1024)) => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}

impl BoundSocket {
    /// Binds a socket; it does not listen yet, so that several can be bound or none.
    ///
    /// # Errors
    /// The address or an option can't be had.
    pub(crate) fn bind(
        address: &ListenAddr,
        forward: usize,
        options: &SocketOptions,
    ) -> Result<Self, BindError> {
        let failed = |error: Errno| BindError::Bind {
            listen: address.clone(),
            source: error.into(),
        };
        let refused = |(flag, error): (&'static str, Errno)| BindError::Option {
            flag,
            listen: address.clone(),
            source: error.into(),
        };
        if let ListenAddr::Unix(path) = address {
            let fd = sys::stream_socket(AddressFamily::UNIX).map_err(failed)?;
            options::set_buffers(&fd, options).map_err(refused)?;
            bind_unix(&fd, path, address)?;
            return Ok(Self {
                fd,
                forward,
                file: Some(SocketFile::at(path)),
                shares_port: false,
                descriptor: None,
            });
        }
        let fd = bind_tcp(address, options.reuse_port).map_err(failed)?;
        options::set_tcp(&fd, options).map_err(refused)?;
        Ok(Self {
            fd,
            forward,
            file: None,
            shares_port: options.reuse_port,
            descriptor: None,
        })
    }

    /// Takes over a socket that somebody else has bound.
    ///
    /// # Errors
    /// It can't be made non-blocking, or refuses an option.
    pub(crate) fn inherit(
        fd: OwnedFd,
        address: &ListenAddr,
        forward: usize,
        options: &SocketOptions,
    ) -> Result<Self, BindError> {
        let refused = |(flag, error): (&'static str, Errno)| BindError::Option {
            flag,
            listen: address.clone(),
            source: error.into(),
        };
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| refused(("LISTEN_FDS", error)))?;
        match sockopt::socket_domain(&fd) {
            Ok(AddressFamily::UNIX) => options::set_buffers(&fd, options).map_err(refused)?,
            _ => options::set_tcp(&fd, options).map_err(refused)?,
        }
        Ok(Self {
            fd,
            forward,
            file: None,
            shares_port: false,
            descriptor: Some(FIRST_PASSED + forward),
        })
    }

    /// Lets clients in; they wait in the backlog until the accept loop runs.
    ///
    /// # Errors
    /// Somebody else listens on the port already.
    pub(crate) fn listen(&self, address: &ListenAddr, backlog: u16) -> Result<(), BindError> {
        let (listen, backlog) = (address.clone(), backlog.into());
        rustix::net::listen(&self.fd, backlog).map_err(|error| match self.descriptor {
            None => BindError::Bind {
                listen,
                source: error.into(),
            },
            Some(descriptor) => BindError::Inherited {
                descriptor,
                listen,
                source: error.into(),
            },
        })
    }

    /// The address that it got, with the port that the kernel chose for port 0. `None` for a unix
    /// socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        getsockname(&self.fd).ok()?.try_into().ok()
    }
}

/// Binds a TCP socket, which does not listen yet. Where the kernel has no IPv6, every address of the
/// host is one of IPv4.
///
/// # Errors
/// The address can't be had, or it is none of TCP.
pub(crate) fn bind_tcp(address: &ListenAddr, reuse_port: bool) -> Result<OwnedFd, Errno> {
    let ip = match address {
        ListenAddr::Ip(ip) => *ip,
        ListenAddr::DualStack(port) => (Ipv6Addr::UNSPECIFIED, *port).into(),
        ListenAddr::Unix(_) => return Err(Errno::AFNOSUPPORT),
    };
    let family = if ip.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let fd = match (sys::stream_socket(family), address) {
        (Err(Errno::AFNOSUPPORT), ListenAddr::DualStack(port)) => {
            let every = ListenAddr::Ip((Ipv4Addr::UNSPECIFIED, *port).into());
            return bind_tcp(&every, reuse_port);
        }
        (fd, _) => fd?,
    };
    if ip.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, matches!(address, ListenAddr::Ip(_)))?;
    }
    // A restart must not wait for the old connections' TIME_WAIT.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if reuse_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    bind(&fd, &ip)?;
    Ok(fd)
}

/// Binds a unix socket, over the file that a process which was killed has left behind. Nobody else
/// may be about to listen there: see [`DirectoryLocks`].
///
/// [`DirectoryLocks`]: super::directory_lock::DirectoryLocks
fn bind_unix(fd: &OwnedFd, path: &Path, address: &ListenAddr) -> Result<(), BindError> {
    let failed = |error: Errno| BindError::Bind {
        listen: address.clone(),
        source: error.into(),
    };
    let name = SocketAddrUnix::new(path).map_err(failed)?;
    match bind(fd, &name) {
        Err(Errno::ADDRINUSE) => {}
        result => return result.map_err(failed),
    }
    let probe = sys::stream_socket(AddressFamily::UNIX).map_err(failed)?;
    match connect(&probe, &name) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(|source| BindError::Bind {
            listen: address.clone(),
            source,
        })?,
        Err(Errno::NOENT) => {} // its process has removed it just now, in its end
        _ => {
            return Err(BindError::Taken {
                listen: address.clone(),
            });
        }
    }
    bind(fd, &name).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_about_what_was_asked_for() {
        let advice = |listen: &str, errno: Errno| advice(&listen.parse().unwrap(), &errno.into());
        let low = "; ports below 1024 need CAP_NET_BIND_SERVICE";
        for (listen, port) in [(":1023", low), ("127.0.0.1:80", low), (":1024", "")] {
            assert_eq!(advice(listen, Errno::ACCESS), port, "{listen}");
        }
        for errno in [Errno::ACCESS, Errno::PERM] {
            let file = advice("unix:/run/socket", errno);
            assert!(file.contains("file") && !file.contains("1024"), "{file}");
        }
        assert_eq!(advice("unix:/run/socket", Errno::ADDRINUSE), "");
    }
}
