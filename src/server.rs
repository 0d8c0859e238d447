//! The whole process: [`Server::bind`] does all that can fail for the user, [`Server::run`] forwards
//! until it is told to stop.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, atomic::Ordering},
};

use rustix::net::getsockname;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::edge::bind::BindError;
use crate::{
    account::metrics::{Metrics, Totals},
    config::{Config, ListenAddr},
    control::{
        admin::{self, Admin},
        drain::{Drain, Stop},
        ticker,
    },
    edge::{
        accept_rate::AcceptRate, admission::Admission, bind::BoundSocket, dial::Dialer,
        directory_lock::DirectoryLocks,
    },
    path::{
        dispatch::Dispatch,
        listener::{self, Gate},
        pipe,
        worker::{Seed, Worker},
    },
    sys,
};

/// Pipes that a worker holds at most, where `--max-pipes` does not say: of 1 MiB each, two workers
/// stay within the 64 MiB that an unprivileged user has.
const PIPES_PER_WORKER: usize = 32;

/// Descriptors kept for what is not a connection: listeners, reactors, logs, name resolution.
const SPARE_FILES: u64 = 64;

/// A forwarder whose listeners are bound and whose clients wait in the backlog.
pub struct Server {
    config: Arc<Config>,
    listeners: Vec<BoundSocket>,
    /// The listeners came from another process, or share their port with one.
    has_successor: bool,
    max_connections: usize,
    metrics: Metrics,
    /// The socket of the admin endpoint.
    admin: Option<OwnedFd>,
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The sockets that were passed on are not those that are to be forwarded.
    #[error("LISTEN_FDS passes {inherited} sockets on, but {forwards} are to be forwarded")]
    Inherited {
        /// Sockets passed on.
        inherited: usize,
        /// Pairs configured.
        forwards: usize,
    },
    /// The admin endpoint can't be bound.
    #[error("--admin '{address}': {source}{}", advice(.source))]
    Admin {
        /// As the user typed it.
        address: ListenAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The limit on open files leaves no room for a connection.
    #[error("the limit on open files (nofile) is {limit}: too low for a single connection")]
    Files {
        /// The limit.
        limit: u64,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process has this port: give each its own, or off",
        _ => "",
    }
}

impl Server {
    /// Binds all listeners, or none. `inherited` are sockets that another process has bound, one
    /// for each forward in their order, or empty.
    ///
    /// # Errors
    /// An address can't be had, or the limits of the process are too low.
    pub fn bind(config: Config, inherited: Vec<OwnedFd>) -> Result<Self, StartError> {
        let forwards = config.forwards.len();
        if !inherited.is_empty() && inherited.len() != forwards {
            return Err(StartError::Inherited {
                inherited: inherited.len(),
                forwards,
            });
        }
        let has_successor = !inherited.is_empty() || config.sockets.reuse_port;
        let starting = inherited
            .is_empty()
            .then(|| DirectoryLocks::take(config.forwards.iter().map(|forward| &forward.listen)));
        let mut inherited = inherited.into_iter();
        let mut listeners = Vec::with_capacity(forwards);
        for (index, forward) in config.forwards.iter().enumerate() {
            listeners.push(match inherited.next() {
                Some(fd) => BoundSocket::inherit(fd, &forward.listen, index, &config.sockets)?,
                None => BoundSocket::bind(&forward.listen, index, &config.sockets)?,
            });
        }
        for (listener, forward) in listeners.iter().zip(&config.forwards) {
            listener.listen(&forward.listen, config.sockets.backlog)?;
        }
        drop(starting);
        let admin = config.admin.as_ref().map(|address| {
            admin::bind_at(address, config.sockets.reuse_port).map_err(|error| StartError::Admin {
                address: address.clone(),
                source: error.into(),
            })
        });
        let admin = admin.transpose()?;
        let workers = workers(&config);
        let nofile = sys::raise_nofile();
        let affordable = affordable_connections(nofile, max_pipes(&config));
        let max_connections = match config.max_connections.map(NonZeroUsize::get) {
            Some(given) => {
                if affordable.is_none_or(|affordable| given > affordable) {
                    warn!(
                        max_connections = given,
                        nofile, "--max-connections exceeds what the limit on open files carries"
                    );
                }
                given
            }
            None => affordable.ok_or(StartError::Files { limit: nofile })?,
        };
        let metrics = Metrics::new(workers);
        let granted = pipe::granted(config.relay.pipe_size);
        for worker in metrics.workers.iter() {
            worker.pipes.granted.store(granted, Ordering::Relaxed);
        }
        Ok(Self {
            config: Arc::new(config),
            listeners,
            has_successor,
            max_connections,
            metrics,
            admin,
        })
    }

    /// The addresses that the listeners got, in the order of the forwards; `None` for unix sockets.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Option<SocketAddr>> {
        self.listeners.iter().map(BoundSocket::local_addr).collect()
    }

    /// The address that the admin endpoint got, where there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        getsockname(self.admin.as_ref()?).ok()?.try_into().ok()
    }

    /// A view of the counters that outlives the server.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters(self.metrics.clone())
    }

    /// Forwards until `stops` says to stop and the drain is over. Dropping the sender of `stops`
    /// means [`Stop::Now`].
    ///
    /// To be run on a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The threads can't be made, or a listener fails for good.
    pub async fn run(self, mut stops: mpsc::UnboundedReceiver<Stop>) -> io::Result<()> {
        let alarm_set = Arc::new(Notify::new());
        let (ended, mut ends) = mpsc::unbounded_channel();
        let pipes = max_pipes(&self.config);
        let count = self.metrics.workers.len();
        let admission = Arc::new(Admission::new(&self.config));
        let dialer = Dialer::new(self.listens());
        let workers = self
            .metrics
            .workers
            .iter()
            .enumerate()
            .map(|(id, metrics)| {
                Worker::start(Seed {
                    id,
                    config: Arc::clone(&self.config),
                    max_pipes: pipe_share(pipes, count, id),
                    metrics: Arc::clone(metrics),
                    admission: Arc::clone(&admission),
                    dialer: dialer.clone(),
                    alarm_set: Arc::clone(&alarm_set),
                    ended: ended.clone(),
                })
            });
        let workers = workers.collect::<io::Result<Vec<_>>>()?;
        let gate = Arc::new(Gate {
            permits: Arc::new(Semaphore::new(
                self.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            proxies: self.config.proxy_protocol.accept.clone(),
            admission,
            rate: self.config.max_accept_rate.map(AcceptRate::new),
            dispatch: Mutex::new(Dispatch::new(workers)),
            metrics: Arc::clone(&self.metrics.listeners),
            closed: CancellationToken::new(),
        });
        self.log_start();
        let mut loops = JoinSet::new();
        for socket in self.listeners {
            loops.spawn(listener::run(socket, Arc::clone(&gate)));
        }
        let mut helpers = JoinSet::new();
        helpers.spawn(ticker::run(Arc::clone(&gate), alarm_set));
        let admin = match self.admin {
            Some(socket) => {
                let listener = TcpListener::from_std(socket.into())?;
                let answers = Admin::new(
                    Arc::clone(&gate),
                    Arc::clone(&self.config),
                    self.metrics.clone(),
                    dialer.clone(),
                );
                Some(helpers.spawn(admin::run(listener, Arc::new(answers))))
            }
            None => None,
        };

        let (stop, result) = tokio::select! {
            stop = stops.recv() => (stop.unwrap_or(Stop::Now), Ok(())),
            Some(ended) = loops.join_next() => (Stop::Now, ended.map_err(io::Error::other).and_then(|ended| ended)),
            Some(id) = ends.recv() => {
                (Stop::Now, Err(io::Error::other(format!("worker {id} has ended"))))
            }
        };
        self.metrics.draining.store(true, Ordering::Relaxed);
        if self.config.sockets.reuse_port
            && let Some(admin) = admin
        {
            admin.abort(); // the successor shares this port, too, and it is the one to be asked
        }
        let drain = Drain {
            gate,
            loops,
            metrics: self.metrics,
            config: self.config,
            dialer,
            has_successor: self.has_successor,
        };
        drain.run(stop, stops).await;
        result // a failure, too, ends no connection without a record
    }

    /// Where it listens for TCP, with the ports that the kernel has chosen.
    fn listens(&self) -> Vec<ListenAddr> {
        let forwards = self.config.forwards.iter().zip(self.local_addrs());
        forwards
            .filter_map(|(forward, local)| match (&forward.listen, local?) {
                (ListenAddr::DualStack(_), local) => Some(ListenAddr::DualStack(local.port())),
                (_, local) => Some(ListenAddr::Ip(local)),
            })
            .collect()
    }

    fn log_start(&self) {
        for (forward, local) in self.config.forwards.iter().zip(self.local_addrs()) {
            info!(
                listen = %forward.listen,
                address = local.map(tracing::field::display),
                upstream = %forward.upstream,
                "listening"
            );
        }
        if let Some(address) = self.admin_addr() {
            info!(%address, "admin endpoint");
        }
        info!(
            version = env!("CARGO_PKG_VERSION"),
            workers = self.metrics.workers.len(),
            max_connections = self.max_connections,
            max_pipes = max_pipes(&self.config),
            pipe_size = self.metrics.pipe_size(),
            config = %self.config,
            "started"
        );
    }
}

/// A view of a server's counters.
#[derive(Clone, Debug)]
pub struct Counters(Metrics);

impl Counters {
    /// The sums of this moment.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.totals()
    }

    /// A worker that has been stuck for some seconds, if any is.
    #[must_use]
    pub fn stuck_worker(&self) -> Option<usize> {
        self.0.stuck().map(|(id, _)| id)
    }
}

/// Worker threads: as configured, else the CPUs that the process may use, at most 4: it is a
/// sidecar.
pub(crate) fn workers(config: &Config) -> usize {
    config
        .workers
        .map_or_else(|| sys::usable_cpus().get().min(4), |workers| workers.get())
}

/// Pipes that all workers together may hold.
pub(crate) fn max_pipes(config: &Config) -> usize {
    let by_worker = workers(config) * PIPES_PER_WORKER;
    config.relay.max_pipes.map_or(by_worker, NonZeroUsize::get)
}

/// What worker `id` gets of them: an even share, which may be none.
fn pipe_share(pipes: usize, workers: usize, id: usize) -> usize {
    pipes / workers + usize::from(id < pipes % workers)
}

/// Connections that so many open files carry, each two and each pipe two; `None`: not a single one.
pub(crate) fn affordable_connections(nofile: u64, pipes: usize) -> Option<usize> {
    let spare = (pipes as u64).saturating_mul(2).saturating_add(SPARE_FILES);
    // A low limit is for connections first: where pipes can't be had, they copy.
    let files = nofile
        .saturating_sub(spare)
        .max(nofile.saturating_sub(SPARE_FILES) / 2);
    usize::try_from(files / 2)
        .ok()
        .filter(|connections| *connections > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_limit_carries_two_files_per_connection_beside_the_pipes() {
        assert_eq!(
            affordable_connections(20_000, 64),
            Some((20_000 - 64 - 128) / 2)
        );
    }

    #[test]
    fn the_workers_shares_add_up_to_the_pipes_allowed() {
        for (pipes, workers) in [(1, 2), (7, 3), (64, 2), (64, 5)] {
            let shares = (0..workers).map(|id| pipe_share(pipes, workers, id));
            assert_eq!(shares.sum::<usize>(), pipes);
        }
    }

    #[test]
    fn a_low_file_limit_is_shared_with_the_pipes() {
        assert_eq!(affordable_connections(128, 64), Some(16));
        assert_eq!(affordable_connections(128, usize::MAX), Some(16));
        assert!(affordable_connections(u64::MAX, usize::MAX).is_some());
        assert_eq!(affordable_connections(64, 64), None);
    }
}
