//! `loadtest origin`: the other end of the commands over plain TCP.
//!
//! Connections go to the threads in turn, each of which has a runtime of its own.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::order::Order;
use super::units::{BULK, Body, Checker, Fault, send_end};
use crate::cli::OriginArgs;
use crate::serve;
use crate::soak::origin::Soak;

/// Bytes of a receive buffer; large, so that the origin is not the bottleneck.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Serves until SIGINT or SIGTERM, and cuts what is open then.
///
/// # Errors
/// When it cannot listen.
pub fn run(args: &OriginArgs) -> anyhow::Result<()> {
    let origin = Origin::start(args.listen, args.threads)?;
    serve::until_told(origin.local_addr, args.end_with_stdin)
}

/// An origin on threads of its own, which end with the process.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) local_addr: SocketAddr,
}

impl Origin {
    /// Binds and serves. Connections are accepted from the moment this returns.
    ///
    /// # Errors
    /// When it cannot listen, or a thread cannot be had.
    pub(crate) fn start(listen: SocketAddr, threads: usize) -> anyhow::Result<Self> {
        let listener = StdListener::bind(listen);
        let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
        // The standard library's 128 are too few where a proxy connects for thousands at once: what
        // finds no room there looks connected, and is reset when its first keepalive asks.
        rustix::net::listen(&listener, BACKLOG).context("cannot listen")?;
        let local_addr = listener.local_addr()?;
        let soak = Soak::default();
        let mut workers = Vec::new();
        for _ in 0..threads {
            let (send, receive) = mpsc::unbounded_channel();
            let (runtime, soak) = (super::load::runtime()?, soak.clone());
            workers.push(send);
            thread::Builder::new()
                .name("origin".to_owned())
                .spawn(move || LocalSet::new().block_on(&runtime, work(receive, soak)))?;
        }
        thread::Builder::new()
            .name("accept".to_owned())
            .spawn(move || accept(&listener, &workers))?;
        Ok(Self { local_addr })
    }
}

/// Connections that may wait to be accepted; `net.core.somaxconn` may allow fewer.
const BACKLOG: i32 = 4096;

fn accept(listener: &StdListener, workers: &[mpsc::UnboundedSender<StdStream>]) {
    for worker in workers.iter().cycle() {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    worker.send(stream).ok(); // a worker that panicked has said so
                    break;
                }
                // Out of descriptors, most likely: let connections end.
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

async fn work(mut streams: mpsc::UnboundedReceiver<StdStream>, soak: Soak) {
    while let Some(stream) = streams.recv().await {
        let soak = soak.clone();
        tokio::task::spawn_local(async move {
            // A client that goes away is the client's affair.
            serve_one(stream, &soak).await.ok();
        });
    }
}

async fn serve_one(stream: StdStream, soak: &Soak) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut stream = TcpStream::from_std(stream)?;
    match Order::receive(&mut stream).await? {
        None => Ok(()),
        Some(Order::Bulk {
            down,
            stream: number,
        }) => bulk(stream, down, number).await,
        Some(Order::Exchange {
            request,
            response,
            stream: number,
        }) => {
            let size = |size: u64| usize::try_from(size.clamp(8, 1 << 30)).unwrap_or(8);
            let [request, response] =
                [request, response].map(|bytes| Body::new(size(bytes), number));
            exchange(stream, request, &response).await
        }
        Some(Order::Soak { seed, connection }) => {
            soak.serve(stream, seed, connection).await;
            Ok(())
        }
        Some(Order::Verdicts { seed }) => soak.tell(stream, seed).await,
    }
}

async fn bulk(mut stream: TcpStream, down: bool, number: u64) -> io::Result<()> {
    let body = Body::new(BULK, number);
    let (mut reader, mut writer) = stream.split();
    let found: Cell<Option<Option<Fault>>> = Cell::new(None); // set when the client has ended
    let receive = async {
        let mut checker = Checker::new(body.clone());
        let mut buffer = vec![0; BUFFER];
        while checker.end().is_none() {
            let length = reader.read(&mut buffer).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(fault) = checker.feed(&buffer[..length]) {
                found.set(Some(Some(fault)));
                return Ok(()); // what follows cannot be checked
            }
        }
        found.set(Some(None));
        Ok(())
    };
    if down {
        let send = async {
            let mut number = 0;
            while found.get().is_none() {
                body.send(number, &mut writer).await?;
                number += 1;
            }
            io::Result::Ok(())
        };
        tokio::try_join!(receive, send)?;
    } else {
        receive.await?;
    }
    send_end(found.get().flatten(), &mut writer).await?;
    drain(stream).await
}

async fn exchange(mut stream: TcpStream, request: Body, response: &Body) -> io::Result<()> {
    let mut buffer = vec![0; request.size().clamp(16 * 1024, BUFFER)];
    let mut checker = Checker::new(request);
    let mut answered = 0;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        match checker.feed(&buffer[..length]) {
            Ok(requests) => {
                for number in answered..answered + requests {
                    response.send(number, &mut stream).await?;
                }
                answered += requests;
            }
            Err(fault) => {
                send_end(Some(fault), &mut stream).await?;
                return drain(stream).await;
            }
        }
    }
}

/// Reads to the client's end, so that closing does not reset what the client has yet to read.
async fn drain(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
