//! Reaching the upstream: resolve, try each address, within `--connect-timeout`; where it refuses,
//! again within `--connect-retry`.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, connect as connect_call, sockopt},
};
use tokio::runtime::Handle;

use crate::{
    account::{
        live::UpstreamPeer,
        outcome::{By, Outcome, Reason},
    },
    config::{SocketOptions, Timeouts, UpstreamAddr},
    edge::options,
    path::{alarms::Alarms, socket::Socket},
    sys,
};

/// Pause between two tries of a refused upstream: short beside a restart, long beside a connect.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a connect needs of its worker.
pub(crate) struct Connector<'a> {
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) options: &'a SocketOptions,
    /// Deadlines without a timer in the worker's runtime.
    pub(crate) alarms: &'a Alarms,
    /// Resolves names: the control runtime's threads may wait, a worker may not.
    pub(crate) resolver: &'a Handle,
}

impl Connector<'_> {
    /// Connects, and says to which address.
    ///
    /// # Errors
    /// The outcome of a connection whose upstream can't be reached: the last address's failure.
    pub(crate) async fn connect(
        &self,
        upstream: &UpstreamAddr,
        opened: Instant,
    ) -> Result<(Socket, UpstreamPeer), Outcome> {
        let last_try = opened + self.timeouts.connect_retry;
        let mut started = opened;
        loop {
            let deadline = started + self.timeouts.connect;
            match self.try_all(upstream, deadline).await {
                // No attempt starts after the last try.
                Err(Failure::Refused(_)) if Instant::now() + RETRY_PAUSE <= last_try => {
                    self.alarms.wait(Instant::now() + RETRY_PAUSE).await;
                    started = Instant::now();
                }
                result => return result.map_err(Failure::into_outcome),
            }
        }
    }

    /// Tries every address once. Each gets an even share of the time that is left, so that one
    /// black hole does not use up all of it.
    async fn try_all(
        &self,
        upstream: &UpstreamAddr,
        deadline: Instant,
    ) -> Result<(Socket, UpstreamPeer), Failure> {
        let addresses = match upstream {
            UpstreamAddr::Unix(path) => {
                let socket = self.connect_unix(path).await?;
                return Ok((socket, UpstreamPeer::Unix(path.clone())));
            }
            UpstreamAddr::Ip(address) => vec![*address],
            UpstreamAddr::Name { host, port } => self.resolve(host, *port, deadline).await?,
        };
        let mut failure = Failure::Unresolved;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            match self.connect_tcp(address, deadline, left).await {
                Ok(socket) => return Ok((socket, UpstreamPeer::Ip(address))),
                Err(error) => failure = error,
            }
            left -= 1;
        }
        Err(failure)
    }

    async fn resolve(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let host = host.to_owned();
        let lookup = self.resolver.spawn(async move {
            tokio::net::lookup_host((host, port))
                .await
                .map(Iterator::collect::<Vec<_>>)
        });
        match self.alarms.bound(deadline, lookup).await {
            None => Err(Failure::TimedOut),
            Some(Ok(Ok(addresses))) if !addresses.is_empty() => Ok(addresses),
            Some(_) => Err(Failure::Unresolved),
        }
    }

    async fn connect_tcp(
        &self,
        address: SocketAddr,
        deadline: Instant,
        addresses_left: u32,
    ) -> Result<Socket, Failure> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let fd = sys::stream_socket(family)?;
        options::set_tcp(&fd, self.options).map_err(|(_, error)| Failure::Other(error))?;
        match connect_call(&fd, &address) {
            Ok(()) => return Ok(Socket::tcp(fd)?),
            Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        // On loopback the handshake is over by now. Asking again says so, a turn of the reactor
        // earlier than waiting for it would.
        match connect_call(&fd, &address) {
            Ok(()) | Err(Errno::ISCONN) => return Ok(Socket::tcp(fd)?),
            Err(Errno::ALREADY) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / addresses_left;
        let socket = Socket::tcp(fd)?;
        match self.alarms.bound(now + share, socket.writable()).await {
            None => return Err(Failure::TimedOut),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(())) => {}
        }
        match sockopt::socket_error(&socket)? {
            Ok(()) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    }

    /// A unix socket connects at once, or says `EAGAIN` when the listener's backlog is full, and
    /// nothing tells when that changes: so it is asked again.
    async fn connect_unix(&self, path: &Path) -> Result<Socket, Failure> {
        let address = SocketAddrUnix::new(path)?;
        let fd = sys::stream_socket(AddressFamily::UNIX)?;
        options::set_buffers(&fd, self.options).map_err(|(_, error)| Failure::Other(error))?;
        let started = Instant::now();
        loop {
            match connect_call(&fd, &address) {
                Ok(()) => return Ok(Socket::unix(fd)?),
                Err(Errno::AGAIN) if started.elapsed() < self.timeouts.connect => {
                    self.alarms.wait(Instant::now() + RETRY_PAUSE).await;
                }
                Err(Errno::AGAIN) => return Err(Failure::TimedOut),
                Err(Errno::NOENT) => return Err(Failure::Refused(Errno::NOENT)), // nobody listens
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Why an address could not be reached.
enum Failure {
    Refused(Errno),
    TimedOut,
    Unresolved,
    Other(Errno),
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNREFUSED => Self::Refused(error),
            Errno::TIMEDOUT => Self::TimedOut,
            error => Self::Other(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl Failure {
    fn into_outcome(self) -> Outcome {
        match self {
            Self::Refused(errno) => Outcome {
                by: By::Upstream,
                reason: Reason::Refused,
                errno: Some(errno),
            },
            Self::TimedOut => Outcome::new(By::Upstream, Reason::ConnectTimeout),
            Self::Unresolved => Outcome::new(By::Upstream, Reason::Resolve),
            // Not the upstream's doing: this process, or the host, is out of descriptors or memory.
            Self::Other(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                Outcome {
                    by: By::Proxy,
                    reason: Reason::ConnectError,
                    errno: Some(errno),
                }
            }
            // It accepted, and has reset the connection since.
            Self::Other(Errno::CONNRESET) => Outcome::failed(By::Upstream, Errno::CONNRESET),
            Self::Other(errno) => Outcome {
                by: By::Upstream,
                reason: Reason::ConnectError,
                errno: Some(errno),
            },
        }
    }
}
