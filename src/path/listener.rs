//! The bound socket and its accept loop.

use std::{
    fs, io,
    net::{Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with,
        bind, connect, getsockname, listen, socket_with, sockopt,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{connection::Accepted, dispatch::Dispatch, socket};
use crate::{
    account::{live::ClientPeer, metrics::ListenerMetrics},
    config::{AccessRules, ListenAddr, SocketOptions},
    edge::options,
    sys::{self, errno_name},
};

/// A socket that is bound, and listens from [`Listener::listen`] on.
pub(crate) struct Listener {
    fd: OwnedFd,
    /// Which of the forwards it belongs to.
    forward: usize,
    /// For a unix socket of our own.
    file: Option<SocketFile>,
}

/// The file of a unix socket, removed in the end, unless it has become somebody else's.
struct SocketFile {
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
    #[error("--listen '{listen}': {source}{}", advice(.source))]
    Bind {
        /// As the user typed it.
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

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has this port (--reuse-port on both lets them share it)"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has this address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

impl Listener {
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
            let fd = stream_socket(AddressFamily::UNIX).map_err(failed)?;
            options::set_buffers(&fd, options).map_err(refused)?;
            bind_unix(&fd, path, address)?;
            return Ok(Self {
                fd,
                forward,
                file: Some(SocketFile::at(path)),
            });
        }
        let (ip, dual_stack) = match address {
            ListenAddr::Ip(ip) => (*ip, false),
            ListenAddr::DualStack(port) => ((Ipv6Addr::UNSPECIFIED, *port).into(), true),
            ListenAddr::Unix(_) => unreachable!("returned above"),
        };
        let family = if ip.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let fd = stream_socket(family).map_err(failed)?;
        if ip.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, !dual_stack).map_err(failed)?;
        }
        // A restart must not wait for the old connections' TIME_WAIT.
        sockopt::set_socket_reuseaddr(&fd, true).map_err(failed)?;
        if options.reuse_port {
            sockopt::set_socket_reuseport(&fd, true)
                .map_err(|error| refused(("--reuse-port", error)))?;
        }
        options::set_tcp(&fd, options).map_err(refused)?;
        bind(&fd, &ip).map_err(failed)?;
        Ok(Self {
            fd,
            forward,
            file: None,
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
        })
    }

    /// Lets clients in; they wait in the backlog until [`Listener::run`].
    ///
    /// # Errors
    /// Somebody else listens on the port already.
    pub(crate) fn listen(&self, address: &ListenAddr, backlog: u16) -> Result<(), BindError> {
        listen(&self.fd, backlog.into()).map_err(|error| BindError::Bind {
            listen: address.clone(),
            source: error.into(),
        })
    }

    /// The address that it got, with the port that the kernel chose for port 0. `None` for a unix
    /// socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        getsockname(&self.fd).ok()?.try_into().ok()
    }
}

fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, SocketType::STREAM, flags, None)
}

/// Binds a unix socket, over the file that a process which was killed has left behind.
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
    let probe = stream_socket(AddressFamily::UNIX).map_err(failed)?;
    if connect(&probe, &name) != Err(Errno::CONNREFUSED) {
        return Err(BindError::Taken {
            listen: address.clone(),
        });
    }
    fs::remove_file(path).map_err(|source| BindError::Bind {
        listen: address.clone(),
        source,
    })?;
    bind(fd, &name).map_err(failed)
}

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

impl Listener {
    /// Accepts until the gate closes, and then whoever is in the backlog already. It never awaits a
    /// peer.
    ///
    /// # Errors
    /// The socket can't accept any more: a bug, or somebody else's shutdown of it.
    pub(crate) async fn run(self, gate: Arc<Gate>) -> io::Result<()> {
        let Self { fd, forward, file } = self;
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
            gate.metrics.accept_errors.add(1);
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
            self.metrics.rejected.add(1);
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
