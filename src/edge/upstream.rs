//! Reaching the upstream: resolve within `--resolve-timeout`, try each address, within
//! `--connect-timeout`; where it refuses, again within `--connect-retry`.

use std::{
    cell::Cell,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, connect as connect_call},
};

use super::{
    dial::{Dialer, Failure},
    options,
    resolver::Unresolved,
    retry::Outage,
};
use crate::{
    account::{
        live::UpstreamPeer,
        outcome::{By, Outcome, Reason},
    },
    config::{SocketOptions, Timeouts, UpstreamAddr},
    path::{alarms::Alarms, socket::Socket},
    sys,
};

/// Pause between two looks at the full backlog of a unix socket.
const BACKLOG_PAUSE: Duration = Duration::from_millis(50);

/// What a connect needs of its worker.
pub(crate) struct Connector<'a> {
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) options: &'a SocketOptions,
    /// Deadlines without a timer in the worker's runtime.
    pub(crate) alarms: &'a Alarms,
    pub(crate) dialer: &'a Dialer,
    /// What the worker's other connections found of this upstream.
    pub(crate) outage: &'a Outage,
    /// Says whether this connection was refused, and waits for its next try.
    pub(crate) pausing: &'a Cell<bool>,
}

impl Connector<'_> {
    /// Connects, and says to which address.
    ///
    /// # Errors
    /// The outcome of a connection whose upstream can't be reached.
    pub(crate) async fn connect(
        &self,
        upstream: &UpstreamAddr,
        opened: Instant,
    ) -> Result<(Socket, UpstreamPeer), Outcome> {
        let last_try = opened + self.timeouts.connect_retry;
        let mut pauses = self.outage.pauses();
        loop {
            let refused = match self.try_once(upstream).await {
                Ok(reached) => {
                    self.outage.over();
                    return Ok(reached);
                }
                Err(refused @ Failure::Refused(_)) => {
                    self.outage.refused(Instant::now());
                    refused
                }
                Err(failure) => return Err(outcome(&failure)),
            };
            loop {
                let Some(until) = pauses.until(Instant::now(), last_try) else {
                    return Err(outcome(&refused));
                };
                self.pausing.set(true);
                self.alarms.wait(until).await;
                self.pausing.set(false);
                let now = Instant::now();
                if now > last_try {
                    return Err(outcome(&refused)); // the worker was held up
                }
                // What another connection has just found out is true of this one.
                if self.outage.take_turn(now) {
                    break;
                }
            }
        }
    }

    async fn try_once(&self, upstream: &UpstreamAddr) -> Result<(Socket, UpstreamPeer), Failure> {
        let (bound, dialer) = (self.timeouts.connect, self.dialer);
        let socket = |family| self.socket(family);
        let sleep = |until| self.alarms.wait(until);
        let (one, several);
        let addresses: &[SocketAddr] = match upstream {
            UpstreamAddr::Unix(path) => {
                let socket = self.connect_unix(path).await?;
                return Ok((socket, UpstreamPeer::Unix(path.clone())));
            }
            UpstreamAddr::Ip(address) => {
                one = [*address];
                &one
            }
            UpstreamAddr::Name { host, port } => {
                let patience = self.timeouts.resolve;
                // Boxed, for those who have no name to look up.
                several = Box::pin(dialer.resolve((host, *port), patience, sleep)).await?;
                &several
            }
        };
        let (fd, address) = dialer.race(addresses, bound, socket, sleep).await?;
        if let UpstreamAddr::Name { host, .. } = upstream
            && addresses.len() > 1
        {
            dialer.reached(host, address);
        }
        Ok((Socket::tcp(fd)?, UpstreamPeer::Ip(address)))
    }

    fn socket(&self, family: AddressFamily) -> Result<OwnedFd, Errno> {
        let fd = sys::stream_socket(family)?;
        options::set_tcp(&fd, self.options).map_err(|(_, error)| error)?;
        Ok(fd)
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
                    self.alarms.wait(Instant::now() + BACKLOG_PAUSE).await;
                }
                Err(Errno::AGAIN) => return Err(Failure::TimedOut),
                Err(Errno::NOENT) => return Err(Failure::Refused(Errno::NOENT)), // nobody listens
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How a connection ends whose upstream can't be reached.
fn outcome(failure: &Failure) -> Outcome {
    let (reason, errno) = match failure {
        Failure::Refused(errno) => (Reason::Refused, Some(*errno)),
        Failure::TimedOut => (Reason::ConnectTimeout, None),
        Failure::Unresolved(error) => (Reason::Resolve, unresolved(error)),
        // It accepted, and has reset the connection since; behind a FIN of its own that is EPIPE.
        Failure::Other(errno @ (Errno::CONNRESET | Errno::PIPE)) => {
            return Outcome::failed(By::Upstream, *errno);
        }
        Failure::Other(errno) => (Reason::ConnectError, Some(*errno)),
    };
    let by = match errno {
        Some(errno) if sys::is_shortage(errno) => By::Proxy,
        _ => By::Upstream,
    };
    Outcome { by, reason, errno }
}

/// The errno of a look-up that failed for want of something here; what else the resolver leaves
/// behind says nothing about the name.
fn unresolved(error: &Unresolved) -> Option<Errno> {
    match error {
        Unresolved::LeadsBack => Some(Errno::LOOP),
        error => error.errno().filter(|errno| sys::is_shortage(*errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    fn told(failure: Failure) -> (By, Reason, Option<Errno>) {
        let Outcome { by, reason, errno } = outcome(&failure);
        (by, reason, errno)
    }

    #[test]
    fn a_shortage_here_is_not_the_upstreams_doing() {
        for errno in [
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::NOSPC,
        ] {
            let whose = (By::Proxy, Reason::ConnectError, Some(errno));
            assert_eq!(told(errno.into()), whose);
            assert_ne!(sys::errno_name(errno), "other");
        }
        for errno in [Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::PERM] {
            let whose = (By::Upstream, Reason::ConnectError, Some(errno));
            assert_eq!(told(errno.into()), whose);
        }
        for errno in [Errno::CONNRESET, Errno::PIPE] {
            let whose = (By::Upstream, Reason::Reset, Some(errno));
            assert_eq!(told(errno.into()), whose);
        }
        let no_thread = Unresolved::NoThread(Arc::new(io::Error::from(Errno::AGAIN)));
        let whose = (By::Proxy, Reason::Resolve, Some(Errno::AGAIN));
        assert_eq!(told(no_thread.into()), whose);
        let no_name = Unresolved::Failed(Arc::new(io::Error::other("no such name")));
        for unresolved in [no_name, Unresolved::Silent, Unresolved::Empty] {
            let whose = (By::Upstream, Reason::Resolve, None);
            assert_eq!(told(unresolved.into()), whose);
        }
    }
}
