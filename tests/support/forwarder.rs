//! The forwarder inside the test's process.

use std::{io, net::SocketAddr, num::NonZeroUsize, thread};

use portamento::{
    Totals,
    config::{Config, Engine, ListenAddr, UpstreamAddr},
    control::drain::Stop,
    server::{Counters, Server},
};
use tokio::{runtime::Builder, sync::mpsc};

use super::{Link, Origin, eventually};

/// A running forwarder. Dropping it ends it, and fails the test if it had failed.
pub(crate) struct Forwarder {
    addrs: Vec<Option<SocketAddr>>,
    admin: Option<SocketAddr>,
    counters: Counters,
    stop: mpsc::UnboundedSender<Stop>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Forwarder {
    pub(crate) fn start(config: Config) -> Self {
        let server = Server::bind(config, Vec::new()).unwrap();
        let (addrs, admin) = (server.local_addrs(), server.admin_addr());
        let counters = server.counters();
        let (stop, stops) = mpsc::unbounded_channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(server.run(stops))
        });
        Self {
            addrs,
            admin,
            counters,
            stop,
            thread: Some(thread),
        }
    }

    /// Where the first forward listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addrs()[0]
    }

    /// Where each forward listens.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.addrs
            .iter()
            .map(|addr| addr.expect("no unix socket"))
            .collect()
    }

    /// Where the admin endpoint listens.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.unwrap()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// Waits until every connection has ended, and returns what was counted until then.
    pub(crate) fn settled(&self) -> Totals {
        eventually("every connection has ended", || {
            let totals = self.totals();
            totals.active == 0 && totals.closed == totals.accepted
        });
        self.totals()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.send(Stop::Now).ok();
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            ended
                .unwrap()
                .expect("the server did not panic")
                .expect("the server ended in order");
        }
    }
}

/// One pair on a free port, and two workers.
pub(crate) fn config_for(upstream: SocketAddr, engine: Engine) -> Config {
    let listen = ListenAddr::Ip(([127, 0, 0, 1], 0).into());
    let mut config = Config::for_pair(listen, UpstreamAddr::Ip(upstream));
    config.workers = NonZeroUsize::new(2);
    config.relay.engine = engine;
    config.admin = Some(ListenAddr::Ip(([127, 0, 0, 1], 0).into()));
    config
}

/// A forwarder, and an origin behind it.
pub(crate) struct Rig {
    pub(crate) forwarder: Forwarder,
    pub(crate) origin: Origin,
}

impl Rig {
    pub(crate) fn new(engine: Engine) -> Self {
        Self::with(engine, |_| {})
    }

    /// With other settings than [`config_for`]'s.
    pub(crate) fn with(engine: Engine, adjust: impl FnOnce(&mut Config)) -> Self {
        let origin = Origin::bind();
        let mut config = config_for(origin.addr(), engine);
        adjust(&mut config);
        Self {
            forwarder: Forwarder::start(config),
            origin,
        }
    }

    /// Opens a connection. By one thread at a time.
    pub(crate) fn link(&self) -> Link {
        Link::open(self.forwarder.addr(), &self.origin)
    }
}
