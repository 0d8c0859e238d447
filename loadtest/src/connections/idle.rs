//! What a connection takes of a proxy's memory while it waits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::latency::pingpong::Answers;
use crate::process::files::Files;
use crate::process::proxy::Proxy;
use crate::tcp::order::Order;
use crate::tcp::units::Body;

/// Idle connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdleLoad {
    /// How many.
    pub(crate) connections: usize,
}

/// What they took, for each connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IdleSample {
    /// How many there were.
    pub(crate) connections: usize,
    /// Resident bytes, before any byte was sent.
    pub(crate) untouched: f64,
    /// Resident bytes, after a request and a response on each.
    pub(crate) used: f64,
    /// Open files; `None` where they cannot be read.
    pub(crate) fds: Option<f64>,
}

/// Sizes of the traffic in between, bytes: a response that fills the buffers of most proxies.
const REQUEST: usize = 200;
const RESPONSE: usize = 64 * 1024;

impl IdleLoad {
    /// Opens the connections through `proxy`, which must be fresh: memory that it has kept from
    /// earlier connections would be used again, and not show.
    ///
    /// # Errors
    /// When a connection breaks, or a byte is wrong.
    pub(crate) async fn run(self, proxy: &Proxy) -> anyhow::Result<IdleSample> {
        let per_connection =
            |before: u64, after: u64| (after as f64 - before as f64) / self.connections as f64;
        self.exchange(&mut connect(proxy).await?, 0).await?; // what is made once, on first use
        let start = settled(proxy).await?;
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            streams.push(connect(proxy).await?);
        }
        let opened = settled(proxy).await?;
        for (number, stream) in streams.iter_mut().enumerate() {
            self.exchange(stream, number as u64).await?;
        }
        let used = settled(proxy).await?;
        Ok(IdleSample {
            connections: self.connections,
            untouched: per_connection(start.rss, opened.rss),
            used: per_connection(start.rss, used.rss),
            fds: start
                .fds
                .zip(opened.fds)
                .map(|(start, opened)| per_connection(start, opened)),
        })
    }

    async fn exchange(self, stream: &mut TcpStream, number: u64) -> anyhow::Result<()> {
        let order = Order::Exchange {
            request: REQUEST as u64,
            response: RESPONSE as u64,
            stream: number,
        };
        stream.write_all(&order.encode()).await?;
        Body::new(REQUEST, number).send(0, stream).await?;
        let mut answers = Answers::new(RESPONSE, number);
        let whole = async {
            while answers.receive(stream).await? == 0 {}
            anyhow::Ok(())
        };
        timeout(LIMIT, whole)
            .await
            .context("no answer within 10 s")?
    }
}

const LIMIT: Duration = Duration::from_secs(10);

#[expect(
    clippy::disallowed_methods,
    reason = "the load generator is no part of the forwarder"
)]
async fn connect(proxy: &Proxy) -> anyhow::Result<TcpStream> {
    let stream = timeout(LIMIT, TcpStream::connect(proxy.addr)).await;
    stream
        .context("no connection within 10 s")?
        .with_context(|| format!("cannot connect to {}", proxy.addr))
}

/// What a process tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    rss: u64,
    fds: Option<u64>,
}

/// What `proxy` holds once that has stopped changing.
async fn settled(proxy: &Proxy) -> anyhow::Result<Held> {
    const SAME: u32 = 5; // looks
    let started = Instant::now();
    let mut last = held(proxy)?;
    let mut same = 0;
    while same < SAME {
        if started.elapsed() > LIMIT {
            bail!("the proxy's memory or open files have not settled within 10 s");
        }
        sleep(Duration::from_millis(10)).await; // between two looks at the condition
        let now = held(proxy)?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

fn held(proxy: &Proxy) -> anyhow::Result<Held> {
    Ok(Held {
        rss: proxy.usage()?.rss,
        fds: Files::read(proxy.pid()).ok().map(Files::all),
    })
}
