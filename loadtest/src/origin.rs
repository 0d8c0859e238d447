//! Plain TCP origins for tests and benches of the forwarder.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::pattern;

/// The seed of the bytes that origins send; see [`pattern`].
pub const SEED: u64 = 0;

/// What an [`Origin`] does with each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends back what it receives; after the client's FIN, the rest and its own FIN.
    Echo,
    /// Receives until the client's FIN, then closes.
    Sink,
    /// Sends this many bytes of the [`SEED`] pattern and FIN, then waits for the client's FIN.
    Source(u64),
    /// For each `request` bytes received, sends `response` bytes of the [`SEED`] pattern.
    Exchange {
        /// Bytes of a request; at least 1.
        request: usize,
        /// Bytes of a response.
        response: usize,
    },
}

/// A TCP server on a free port of 127.0.0.1, on one thread of its own. Dropping it closes the
/// listener and cuts every connection.
#[derive(Debug)]
pub struct Origin {
    local_addr: SocketAddr,
    counts: Arc<Counts>,
    /// Taken by the drop.
    control: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

impl Origin {
    /// Binds and serves. Connections are accepted from the moment this returns.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(mode: Mode) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, mode, counted) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            local_addr,
            counts,
            control: Some((stop, thread)),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Bytes received so far, on all connections.
    pub fn received(&self) -> u64 {
        self.counts.received.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.control.take() {
            drop(stop);
            thread.join().ok(); // its panic has been printed
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    received: AtomicU64,
}

async fn accept(listener: std::net::TcpListener, mode: Mode, counts: Arc<Counts>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                counts.accepted.fetch_add(1, Ordering::Relaxed);
                let open = Open::new(&counts);
                tokio::spawn(async move {
                    // A client that goes away is the client's affair.
                    serve(stream, mode, &open.0).await.ok();
                });
            }
            // Out of descriptors, most likely: let connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Counts one open connection for as long as it lives.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, mode: Mode, counts: &Counts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    match mode {
        Mode::Echo => loop {
            let received = receive(&mut stream, &mut buffer, counts).await?;
            if received == 0 {
                return stream.shutdown().await;
            }
            stream.write_all(&buffer[..received]).await?;
        },
        Mode::Sink => drain(&mut stream, &mut buffer, counts).await,
        Mode::Source(bytes) => {
            send_pattern(&mut stream, &mut buffer, bytes).await?;
            stream.shutdown().await?;
            drain(&mut stream, &mut buffer, counts).await
        }
        Mode::Exchange { request, response } => {
            let mut answer = vec![0; response];
            pattern::fill(SEED, 0, &mut answer);
            let mut wanted = request.max(1);
            loop {
                let most = wanted.min(buffer.len());
                let received = receive(&mut stream, &mut buffer[..most], counts).await?;
                if received == 0 {
                    return stream.shutdown().await;
                }
                wanted -= received;
                if wanted == 0 {
                    stream.write_all(&answer).await?;
                    wanted = request.max(1);
                }
            }
        }
    }
}

const BUFFER: usize = 256 * 1024; // bytes; large, so that the origin is not the bottleneck

async fn drain(stream: &mut TcpStream, buffer: &mut [u8], counts: &Counts) -> io::Result<()> {
    while receive(stream, buffer, counts).await? > 0 {}
    Ok(())
}

async fn receive(stream: &mut TcpStream, buffer: &mut [u8], counts: &Counts) -> io::Result<usize> {
    let received = stream.read(buffer).await?;
    counts
        .received
        .fetch_add(received as u64, Ordering::Relaxed);
    Ok(received)
}

async fn send_pattern(stream: &mut TcpStream, buffer: &mut [u8], bytes: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes {
        let length =
            usize::try_from(bytes - sent).map_or(buffer.len(), |left| left.min(buffer.len()));
        pattern::fill(SEED, sent, &mut buffer[..length]);
        stream.write_all(&buffer[..length]).await?;
        sent += length as u64;
    }
    Ok(())
}
