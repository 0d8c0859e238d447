//! The accept loop of a bound socket.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{connection::Accepted, dispatch::Dispatch, socket};
use crate::{
    account::{live::ClientPeer, metrics::ListenerMetrics, rejection::Rejection},
    config::AccessRules,
    edge::bind::BoundSocket,
    sys::{self, errno_name},
};

/// What all accept loops share.
pub(crate) struct Gate {
    /// One permit per connection: `--max-connections`.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) access: AccessRules,
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
    let BoundSocket { fd, forward, file } = socket;
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
            AcceptError::Connection => {}
            AcceptError::Resources(errno) => tokio::select! {
                () = gate.closed.cancelled() => break,
                () = pause.wait(errno) => {}
            },
            AcceptError::Listener => return Err(error),
        }
    }
    // Closing the socket would reset whoever the kernel has let in already.
    while let Ok(permit) = Arc::clone(&gate.permits).try_acquire_owned()
        && let Ok((socket, client)) = accept(&fd)
    {
        gate.admit(socket, client, forward, permit);
    }
    drop((fd, file));
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

    fn admit(
        &self,
        socket: OwnedFd,
        client: ClientPeer,
        forward: usize,
        permit: OwnedSemaphorePermit,
    ) {
        if !self.access.admits(client) {
            self.metrics.rejected(Rejection::Acl);
            debug!(%client, "rejected by --allow or --deny");
            socket::reset(socket);
            return;
        }
        self.metrics.accepted.add(1);
        let accepted = Accepted {
            socket,
            client,
            opened: Instant::now(),
            forward,
            permit,
        };
        self.dispatch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hand_over(accepted);
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
enum AcceptError {
    /// This one connection, which is gone: the next, at once.
    Connection,
    /// Descriptors or memory, which others may give back: the next, after a pause.
    Resources(Errno),
    /// The listener itself.
    Listener,
}

impl AcceptError {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            // accept(2): Linux passes network errors that are already pending on as its own.
            Some(
                Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::PERM
                | Errno::TIMEDOUT,
            ) => Self::Connection,
            Some(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                Self::Resources(errno)
            }
            _ => Self::Listener,
        }
    }
}

/// The pause after an accept that lacked resources: it doubles until one succeeds.
#[derive(Default)]
struct Pause {
    last: Option<Duration>,
    logged: Option<Instant>,
    unlogged: u64,
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(1);

impl Pause {
    fn reset(&mut self) {
        self.last = None;
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
