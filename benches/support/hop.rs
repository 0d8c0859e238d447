//! What lies between a client and the origin: nothing, portamento, or a plain tokio proxy.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    thread::{self, JoinHandle},
};

use portamento::{
    config::{Config, Engine, ListenAddr, UpstreamAddr},
    control::drain::Stop,
    server::Server,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::mpsc,
};

/// The way to the origin.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each bench has its own routes")]
pub(crate) enum Route {
    /// Straight, as control: what machine, client and origin can do.
    Direct,
    /// Through portamento with this engine and every other default.
    Portamento(Engine),
    /// The same with `auto`, but nothing is sampled for `forward_delay_seconds`: what that costs.
    Unsampled,
    /// Through [`copy_bidirectional`], as second control: what the least code does.
    Tokio,
}

impl Route {
    /// Its name in the reports.
    #[allow(dead_code, reason = "some benches have names of their own")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Portamento(Engine::Auto) => "auto",
            Self::Portamento(Engine::Copy) => "copy",
            Self::Portamento(Engine::Splice) => "splice",
            Self::Unsampled => "auto-unsampled",
            Self::Tokio => "tokio",
        }
    }
}

/// A route that stands, in this process on threads of its own. Dropping it ends them.
pub(crate) struct Hop {
    entry: SocketAddr,
    /// Taken by the drop; `None` for a direct route.
    control: Option<(mpsc::UnboundedSender<Stop>, Control)>,
}

impl Hop {
    /// Binds the route and runs it. Connections are accepted from the moment this returns.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub(crate) fn start(route: Route, origin: SocketAddr) -> io::Result<Self> {
        let (stop, mut stops) = mpsc::unbounded_channel();
        let (entry, thread) = match route {
            Route::Direct => {
                return Ok(Self {
                    entry: origin,
                    control: None,
                });
            }
            Route::Portamento(engine) => portamento(origin, stops, |config| {
                config.relay.engine = engine;
            })?,
            Route::Unsampled => portamento(origin, stops, |config| config.sample_delay = false)?,
            Route::Tokio => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(workers())
                    .enable_all()
                    .build()?;
                let listener = runtime.block_on(TcpListener::bind(FREE_PORT))?;
                let entry = listener.local_addr()?;
                let control = thread::Builder::new().name("control".to_owned());
                let proxy = async move {
                    tokio::select! {
                        ended = proxy(listener, origin) => ended,
                        _ = stops.recv() => Ok(()),
                    }
                };
                (entry, control.spawn(move || runtime.block_on(proxy))?)
            }
        };
        Ok(Self {
            entry,
            control: Some((stop, thread)),
        })
    }

    /// Where clients connect to.
    pub(crate) fn entry(&self) -> SocketAddr {
        self.entry
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.control.take() {
            drop(stop); // means Stop::Now
            thread.join().ok(); // its panic has been printed
        }
    }
}

const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

type Control = JoinHandle<io::Result<()>>;

/// Starts portamento with every default but for what `adjust` changes.
fn portamento(
    origin: SocketAddr,
    stops: mpsc::UnboundedReceiver<Stop>,
    adjust: impl FnOnce(&mut Config),
) -> io::Result<(SocketAddr, Control)> {
    let mut config = Config::for_pair(ListenAddr::Ip(FREE_PORT), UpstreamAddr::Ip(origin));
    adjust(&mut config);
    let server = Server::bind(config, vec![]).map_err(io::Error::other)?;
    let entry = server.local_addrs().into_iter().flatten().next();
    let entry = entry.ok_or_else(|| io::Error::other("a listener without address"))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let control = thread::Builder::new().name("control".to_owned());
    let thread = control.spawn(move || runtime.block_on(server.run(stops)))?;
    Ok((entry, thread))
}

/// As many as portamento takes by default.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4))
}

/// The proxy that everybody writes first.
async fn proxy(listener: TcpListener, origin: SocketAddr) -> io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut upstream = connect(origin).await?;
            client.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut upstream).await
        });
    }
}

/// Connects without Nagle's delay.
///
/// # Errors
/// What connect(2) fails with.
#[expect(
    clippy::disallowed_methods,
    reason = "clients, and the proxy that portamento is compared with, dial plainly"
)]
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
