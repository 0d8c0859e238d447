//! The client's side of a soak: connections, one after the other on each of many places.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::play::Player;
use super::script::Side;
use super::verdict::Verdict;
use crate::tcp::load::runtime;
use crate::tcp::order::Order;

/// What all connections of a soak share.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Where to connect to.
    pub(crate) addr: String,
    /// Fixes what they do.
    pub(crate) seed: u64,
    /// The number of the next connection.
    pub(crate) next: AtomicU64,
    /// No connection begins any more.
    pub(crate) is_over: AtomicBool,
    /// What each saw.
    pub(crate) verdicts: mpsc::UnboundedSender<anyhow::Result<Verdict>>,
}

/// When a period ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// At this moment.
    Time(Instant),
    /// Before the connection of this number.
    Connection(u64),
}

impl Crew {
    /// Makes connections on `places` places of this thread, until the period is over and all have
    /// ended.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    pub(crate) fn work(self: &Arc<Self>, places: usize, until: Until) -> anyhow::Result<()> {
        let local = LocalSet::new();
        for _ in 0..places {
            let crew = Arc::clone(self);
            local.spawn_local(async move {
                while let Some(connection) = crew.take(until) {
                    let verdict = crew.connect(connection).await;
                    crew.verdicts.send(verdict).ok(); // the run has ended
                }
            });
        }
        runtime()?.block_on(local);
        Ok(())
    }

    fn take(&self, until: Until) -> Option<u64> {
        let is_over = self.is_over.load(Ordering::Relaxed)
            || matches!(until, Until::Time(end) if Instant::now() >= end);
        if is_over {
            return None;
        }
        match until {
            Until::Time(_) => Some(self.next.fetch_add(1, Ordering::Relaxed)),
            Until::Connection(end) => self
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                    (next < end).then_some(next + 1)
                })
                .ok(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the load generator is no part of the forwarder"
    )]
    async fn connect(&self, connection: u64) -> anyhow::Result<Verdict> {
        let stream = TcpStream::connect(&self.addr).await;
        let mut stream = stream
            .with_context(|| format!("connection {connection}: cannot connect to {}", self.addr))?;
        let order = Order::Soak {
            seed: self.seed,
            connection,
        };
        let ordered = stream.write_all(&order.encode()).await;
        ordered.with_context(|| format!("connection {connection}"))?;
        let player = Player::new(self.seed, connection, Side::Client);
        Ok(player.play(stream).await)
    }
}
