//! The live-store stand-in: what a querier can ask, answered from a seed.

mod answers;
mod services;
mod streams;
mod trace_id;
mod traces;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

pub use self::streams::chunk_data;
pub use self::trace_id::{InvalidTraceId, LARGEST_ANSWER, SMALLEST_ANSWER, TraceId};
use crate::proto::grpc::health::v1::health_server::HealthServer;
use crate::proto::portamento::test::v1::stream_server::StreamServer;
use crate::proto::tempopb::metrics_server::MetricsServer;
use crate::proto::tempopb::querier_server::QuerierServer;
use crate::snappy::layer::SnappyLayer;

/// The largest message that the stand-in and its client take or send, bytes: Tempo's default.
pub const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;
/// Streams on one connection, as a Tempo server allows them.
pub const STREAM_LIMIT: u32 = 100;

/// What a stand-in is started with.
#[derive(Clone, Debug)]
pub struct StandInConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Fixes every answer.
    pub seed: u64,
    /// Serves TLS with this certificate instead of plain text.
    pub tls: Option<TlsIdentity>,
    /// With TLS: only clients with a certificate of this authority (PEM) are let in.
    pub client_ca: Option<String>,
}

impl Default for StandInConfig {
    /// A free port on 127.0.0.1, seed 1, plain text.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            tls: None,
            client_ca: None,
        }
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The chain, the server's own certificate first.
    pub certificate: String,
    /// The private key of the first certificate.
    pub key: String,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive() // the key stays out of logs
    }
}

/// A running stand-in, on threads of its own: it can be started from inside a runtime or without
/// one. Dropping it cuts every connection at once; [`StandIn::stop`] lets them finish.
#[derive(Debug)]
pub struct StandIn {
    local_addr: SocketAddr,
    state: Arc<State>,
    /// Taken by whoever stops it.
    control: Option<(
        oneshot::Sender<Stop>,
        thread::JoinHandle<anyhow::Result<()>>,
    )>,
}

impl StandIn {
    /// Binds and serves. Connections are accepted from the moment this returns.
    ///
    /// # Errors
    /// When the address cannot be bound, or the certificate cannot be used.
    pub fn start(config: StandInConfig) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let state = Arc::new(State {
            serving: AtomicBool::new(true),
            open_streams: AtomicUsize::new(0),
        });
        let server = server(config.tls, config.client_ca)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("stand-in")
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("stand-in".to_owned())
            .spawn(move || {
                let result =
                    runtime.block_on(serve(server, listener, config.seed, served, stopped));
                runtime.shutdown_background();
                result
            })?;
        Ok(Self {
            local_addr,
            state,
            control: Some((stop, thread)),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The calls of `portamento.test.v1.Stream` that have begun and not ended. A call that its
    /// client cancelled leaves this count when the cancellation has arrived.
    pub fn open_streams(&self) -> usize {
        self.state.open_streams.load(Ordering::Relaxed)
    }

    /// Sets what health checks answer: SERVING, as from the start, or NOT_SERVING.
    pub fn set_serving(&self, serving: bool) {
        self.state.serving.store(serving, Ordering::Relaxed);
    }

    /// Closes the listener, sends GOAWAY, and waits until the connections have ended or `limit`
    /// has passed; what is left is cut. Blocks the calling thread.
    ///
    /// # Errors
    /// When the server had failed.
    pub fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        self.end(Stop::Within(limit))
    }

    fn end(&mut self, how: Stop) -> anyhow::Result<()> {
        let Some((stop, thread)) = self.control.take() else {
            return Ok(());
        };
        stop.send(how).ok(); // fails when the server has ended by itself: the thread says why
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end(Stop::Now).ok(); // nobody is left to hear of it
        }
    }
}

/// How a stand-in ends.
#[derive(Debug)]
enum Stop {
    Now,
    Within(Duration),
}

/// What the services share with the handle.
#[derive(Debug)]
struct State {
    serving: AtomicBool,
    open_streams: AtomicUsize,
}

fn server(tls: Option<TlsIdentity>, client_ca: Option<String>) -> anyhow::Result<Server> {
    let server = Server::builder()
        .max_concurrent_streams(STREAM_LIMIT)
        // Windows start at 64 KiB and grow with the bandwidth-delay product, as grpc-go's do.
        .http2_adaptive_window(Some(true));
    let Some(TlsIdentity { certificate, key }) = tls else {
        return Ok(server);
    };
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    if let Some(authority) = client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(authority));
    }
    server.tls_config(tls).context("cannot use the certificate")
}

async fn serve(
    server: Server,
    listener: TcpListener,
    seed: u64,
    state: Arc<State>,
    stopped: oneshot::Receiver<Stop>,
) -> anyhow::Result<()> {
    let incoming = TcpIncoming::from(tokio_listener(listener)?).with_nodelay(Some(true));
    let store = Arc::new(services::LiveStore::new(seed));
    let layer = SnappyLayer {
        limit: MESSAGE_LIMIT,
    };
    let (drain, drained) = oneshot::channel::<()>();
    let serving = server
        .layer(layer)
        .add_service(
            QuerierServer::from_arc(Arc::clone(&store)).max_encoding_message_size(MESSAGE_LIMIT),
        )
        .add_service(MetricsServer::from_arc(store))
        .add_service(HealthServer::new(services::Health(Arc::clone(&state))))
        .add_service(
            StreamServer::new(streams::Streams::new(state))
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT),
        )
        .serve_with_incoming_shutdown(incoming, async {
            drained.await.ok(); // an error is the sender's end, which means the same
        });
    let mut serving = std::pin::pin!(serving);
    let stop = tokio::select! {
        ended = &mut serving => return ended.context("the stand-in failed"),
        stop = stopped => stop.unwrap_or(Stop::Now),
    };
    let Stop::Within(limit) = stop else {
        return Ok(());
    };
    drop(drain);
    match tokio::time::timeout(limit, serving).await {
        Ok(ended) => ended.context("the stand-in failed"),
        Err(_) => Ok(()),
    }
}

fn tokio_listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener)
}
