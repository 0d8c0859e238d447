//! The accept loop of a bound socket.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use rustix::{
    io::Errno,
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{connection::Accepted, dispatch::Dispatch, socket};
use crate::{
    account::{live::ClientPeer, metrics::ListenerMetrics, rejection::Rejection},
    edge::{
        accept_rate::AcceptRate,
        access,
        admission::{Admission, Admitted},
        bind::BoundSocket,
        farewell,
    },
    sys::{self, errno_name},
};

/// What all accept loops share.
pub(crate) struct Gate {
    /// One permit per connection: `--max-connections`.
    pub(crate) permits: Arc<Semaphore>,
    /// The peers that must send a PROXY header; if not empty, the only ones that may connect.
    pub(crate) proxies: Vec<IpNet>,
    pub(crate) admission: Arc<Admission>,
    /// Absent without `--max-accept-rate`.
    pub(crate) rate: Option<AcceptRate>,
    /// Locked for a moment per connection, by the one thread that accepts.
    pub(crate) dispatch: Mutex<Dispatch>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    /// Cancelled when nobody is to be accepted any more.
    pub(crate) closed: CancellationToken,
}

/// Accepts until the gate closes, and then whoever is in the backlog already. It never awaits a
/// peer.
///
/// # Errors
/// The socket can't accept any more: a bug, or somebody else's shutdown of it.
pub(crate) async fn run(socket: BoundSocket, gate: Arc<Gate>) -> io::Result<()> {
    let BoundSocket {
        fd,
        forward,
        file,
        shares_port,
    } = socket;
    let fd = sys::register(fd, Interest::READABLE)?;
    let mut pause = Pause::default();
    loop {
        let step = tokio::select! {
            biased;
            () = gate.closed.cancelled() => break,
            step = gate.accept(&fd, forward) => step,
        };
        let Err(error) = step else {
            pause.reset();
            continue;
        };
        gate.metrics.accept_failed(&error);
        match AcceptError::of(&error) {
            AcceptError::Connection(_) if !pause.is_due() => {}
            AcceptError::Connection(errno) | AcceptError::Circumstances(errno) => tokio::select! {
                () = gate.closed.cancelled() => break,
                () = pause.wait(errno) => {}
            },
            AcceptError::Listener => return Err(error),
        }
    }
    // Closing the socket would reset whoever the kernel has let in already.
    if shares_port {
        gate.leave_to_successor(&fd, forward).await;
    }
    drop(file); // first, so that nobody comes after the last who is accepted
    gate.accept_backlog(&fd, forward);
    drop(fd);
    Ok(())
}

impl Gate {
    /// Accepts one connection. The permit comes before the call, so that clients beyond the limit
    /// wait in the backlog; but after the wait for a client, so that no idle listener holds one.
    async fn accept(&self, fd: &AsyncFd<OwnedFd>, forward: usize) -> io::Result<()> {
        let mut ready = fd.readable().await?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        match accept(fd) {
            Ok((socket, client)) => self.admit(socket, client, forward, permit),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Accepts whoever has been let in, or half in, before the SYNs went to a successor.
    async fn leave_to_successor(&self, fd: &AsyncFd<OwnedFd>, forward: usize) {
        if let Err(error) = farewell::send_newcomers_on(fd.get_ref()) {
            warn!(%error, "clients that dial in this moment may be reset");
            return;
        }
        let deadline = Instant::now() + farewell::HANDSHAKE;
        while Instant::now() < deadline {
            self.accept_backlog(fd, forward);
            tokio::time::sleep(farewell::HANDSHAKE / 10).await;
        }
    }

    /// Accepts whoever is in the backlog now.
    fn accept_backlog(&self, fd: &AsyncFd<OwnedFd>, forward: usize) {
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned()
            && let Ok((socket, client)) = accept(fd)
        {
            self.admit(socket, client, forward, permit);
        }
    }

    fn admit(
        &self,
        socket: OwnedFd,
        client: ClientPeer,
        forward: usize,
        permit: OwnedSemaphorePermit,
    ) {
        let admitted = match self.judge(client) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.metrics.rejected(reason);
                debug!(%client, %reason, "rejected");
                socket::reset(socket);
                return;
            }
        };
        self.metrics.accepted.add(1);
        let accepted = Accepted {
            socket,
            client,
            behind_proxy: !self.proxies.is_empty(),
            opened: Instant::now(),
            forward,
            permit,
            admitted,
        };
        self.dispatch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hand_over(accepted);
    }

    /// Whether a peer may connect. Whoever is turned away for another reason takes no share of
    /// `--max-accept-rate`.
    fn judge(&self, peer: ClientPeer) -> Result<Admitted, Rejection> {
        let admitted = if self.proxies.is_empty() {
            self.admission.admit(peer)?
        } else if access::listed(&self.proxies, peer) {
            None // the worker reads who the client is
        } else {
            return Err(Rejection::ProxyHeader);
        };
        match &self.rate {
            Some(rate) if !rate.take(Instant::now()) => Err(Rejection::Limit),
            _ => Ok(admitted),
        }
    }
}

fn accept(fd: impl AsFd) -> Result<(OwnedFd, ClientPeer), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(fd, flags)?;
    let client = peer
        .and_then(|peer: SocketAddrAny| SocketAddr::try_from(peer).ok())
        .map_or(ClientPeer::Unix, ClientPeer::Ip);
    Ok((socket, client))
}

/// What a failed accept(2) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptError {
    /// This one connection, which is gone: the next, at once.
    Connection(Errno),
    /// Descriptors or memory, which others may give back, or a rule (a firewall's, a sandbox's),
    /// which others may lift: the connection waits. The next try, after a pause.
    Circumstances(Errno),
    /// The listener itself.
    Listener,
}

impl AcceptError {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            // accept(2): Linux passes network errors that are already pending on as its own.
            Some(
                errno @ (Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT),
            ) => Self::Connection(errno),
            // It does not listen any more, or is no socket of ours: that does not get better.
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) | None => Self::Listener,
            // EMFILE, ENFILE, ENOBUFS, ENOMEM; EPERM, EACCES, ENOSYS and what else a filter of
            // system calls may answer. Whatever else there is, is survived as well.
            Some(errno) => Self::Circumstances(errno),
        }
    }
}

/// The pause after an accept that failed: it doubles until one succeeds.
#[derive(Default)]
struct Pause {
    last: Option<Duration>,
    /// Connections that were gone, one after the other.
    gone: u32,
    logged: Option<Instant>,
    unlogged: u64,
}

/// So many clients in a row may have hung up before they were accepted: a full backlog.
const GONE_AT_ONCE: u32 = 1024;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(1);

impl Pause {
    fn reset(&mut self) {
        self.last = None;
        self.gone = 0;
    }

    /// Whether a connection that is gone calls for a pause: where each one is, for ever, something
    /// is wrong that no connection causes.
    fn is_due(&mut self) -> bool {
        self.gone = self.gone.saturating_add(1);
        self.gone > GONE_AT_ONCE
    }

    async fn wait(&mut self, errno: Errno) {
        let pause = self
            .last
            .map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        self.unlogged += 1;
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= LOG_EVERY)
        {
            self.logged = Some(Instant::now());
            error!(
                errno = errno_name(errno),
                failures = self.unlogged,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "can't accept; clients wait in the backlog"
            );
            self.unlogged = 0;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listener_that_cannot_accept_any_more_ends() {
        let of = |errno: Errno| AcceptError::of(&errno.into());
        for gone in [
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::PROTO,
            Errno::NETDOWN,
        ] {
            assert_eq!(of(gone), AcceptError::Connection(gone));
        }
        for passing in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::PERM,
            Errno::ACCESS,
            Errno::NOSYS,
            Errno::IO,
        ] {
            assert_eq!(of(passing), AcceptError::Circumstances(passing));
        }
        for last in [Errno::INVAL, Errno::BADF, Errno::NOTSOCK] {
            assert_eq!(of(last), AcceptError::Listener);
        }
    }

    #[test]
    fn connections_that_are_gone_call_for_a_pause_only_where_nothing_else_comes() {
        let mut pause = Pause::default();
        assert!((0..GONE_AT_ONCE).all(|_| !pause.is_due()));
        pause.reset(); // one was accepted
        assert!((0..GONE_AT_ONCE).all(|_| !pause.is_due()));
        assert!(pause.is_due());
    }
}
