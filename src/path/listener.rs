//! The accept loop of a bound socket.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
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
use tracing::{debug, warn};

use super::{
    accept_error::{AcceptError, Pause},
    connection::Accepted,
    dispatch::Dispatch,
};
use crate::{
    account::{live::ClientPeer, metrics::ListenerMetrics, rejection::Rejection},
    edge::{
        accept_rate::AcceptRate,
        access,
        admission::{Admission, Admitted},
        bind::BoundSocket,
        farewell,
        local_address::local_address,
    },
    sys,
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
        descriptor: _,
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
            AcceptError::Listener => {
                let address = local_address(fd.get_ref().as_fd());
                let said = format!("the listener at {address} can't accept any more: {error}");
                return Err(io::Error::new(error.kind(), said));
            }
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
            Ok((socket, client)) => self.admit(socket, client, forward, Some(permit)),
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

    /// Accepts whoever is in the backlog now: also beyond `--max-connections`, since there is no
    /// waiting any more. The close that follows would reset them, and leave no record.
    fn accept_backlog(&self, fd: &AsyncFd<OwnedFd>, forward: usize) {
        loop {
            match accept(fd) {
                Ok((socket, client)) => {
                    let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
                    self.admit(socket, client, forward, permit);
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return,
            }
        }
    }

    fn admit(
        &self,
        socket: OwnedFd,
        client: ClientPeer,
        forward: usize,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let admitted = match self.judge(client) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.metrics.rejected(reason);
                debug!(%client, %reason, "rejected");
                return; // the socket goes with a reset
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
