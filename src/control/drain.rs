//! The end of the process: let what lives finish, within a bound, and say what was cut.

use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::probe::probe;
use crate::{
    account::{metrics::Metrics, outcome::Reason},
    config::{Config, UpstreamAddr},
    edge::dial::Dialer,
    path::{listener::Gate, worker::Command},
};

/// How the process is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on accepting and relaying until the upstream is gone or nobody comes any more: clients
    /// still dial while the upstream shuts down, and a refused dial costs them a second. With a
    /// successor on the same port, stop accepting at once.
    Drain,
    /// Stop accepting, and cut what has not ended after a second.
    Quick,
    /// End now.
    Now,
}

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Without a connection for so long, a drain is over even if the upstream still accepts.
const NOBODY_CAME: Duration = Duration::from_secs(1);

/// The bound of [`Stop::Quick`].
const QUICK: Duration = Duration::from_secs(1);

/// How long the workers may take to end what is cut.
const CUT: Duration = Duration::from_secs(1);

/// A local upstream answers in microseconds; one that does not is not refusing.
const PROBE: Duration = Duration::from_millis(100);

/// A server that has been told to end.
pub(crate) struct Drain {
    pub(crate) gate: Arc<Gate>,
    pub(crate) loops: JoinSet<io::Result<()>>,
    pub(crate) metrics: Metrics,
    pub(crate) config: Arc<Config>,
    pub(crate) dialer: Dialer,
    /// Another process has the port, or will.
    pub(crate) has_successor: bool,
}

impl Drain {
    /// Ends the server: `stop` says how, `stops` may yet say to hurry.
    pub(crate) async fn run(mut self, stop: Stop, mut stops: mpsc::UnboundedReceiver<Stop>) {
        let mut stop = stop;
        loop {
            let hurried = tokio::select! {
                hurried = next_above(stop, &mut stops) => hurried,
                () = self.follow(stop) => break,
            };
            stop = hurried;
        }
        let totals = self.metrics.totals();
        info!(
            accepted = totals.accepted,
            closed = totals.closed,
            failed = totals.failed,
            rejected = totals.rejected,
            accept_errors = totals.accept_errors,
            bytes_to_upstream = totals.bytes_to_upstream,
            bytes_to_client = totals.bytes_to_client,
            bytes_spliced = totals.bytes_spliced,
            splice_fallbacks = totals.splice_fallbacks,
            "stopped"
        );
    }

    async fn follow(&mut self, stop: Stop) {
        let connections = self.metrics.totals().active;
        match stop {
            Stop::Drain => {
                let bound = self.config.timeouts.drain;
                info!(connections, timeout = %humantime::format_duration(bound), successor = self.has_successor, "draining");
                let drained = async {
                    if self.has_successor {
                        self.stop_accepting().await;
                    }
                    self.drained().await;
                    self.stop_accepting().await;
                    self.empty().await; // those who came at the last moment are served, too
                };
                if timeout(bound, drained).await.is_err() {
                    self.stop_accepting().await;
                    self.cut().await;
                }
            }
            Stop::Quick => {
                info!(connections, "stopping");
                self.stop_accepting().await;
                if timeout(QUICK, self.empty()).await.is_err() {
                    self.cut().await;
                }
            }
            Stop::Now => {
                self.stop_accepting().await;
                self.cut().await;
            }
        }
    }

    /// Takes in whoever is in the backlog, and closes the listeners.
    async fn stop_accepting(&mut self) {
        self.gate.closed.cancel();
        while let Some(ended) = self.loops.join_next().await {
            if let Ok(Err(error)) = ended {
                warn!(%error, "a listener failed while it was closed");
            }
        }
    }

    /// Waits until no connection is left and none will come.
    async fn drained(&self) {
        let mut accepted = self.metrics.totals().accepted;
        let mut last_came = Instant::now();
        loop {
            let totals = self.metrics.totals();
            if totals.accepted != accepted || totals.active > 0 {
                accepted = totals.accepted;
                last_came = Instant::now();
            } else if self.gate.closed.is_cancelled()
                || last_came.elapsed() >= NOBODY_CAME
                || self.upstreams_refuse().await
            {
                return;
            }
            sleep(LOOK).await;
        }
    }

    async fn empty(&self) {
        while self.metrics.totals().active > 0 {
            sleep(LOOK).await;
        }
    }

    async fn upstreams_refuse(&self) -> bool {
        for forward in &self.config.forwards {
            if !self.refuses(&forward.upstream).await {
                return false;
            }
        }
        true
    }

    async fn refuses(&self, upstream: &UpstreamAddr) -> bool {
        let version = self.config.proxy_protocol.send;
        let probed = probe(upstream, version, PROBE, &self.dialer).await;
        probed.is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            )
        })
    }

    /// Ends what is left, with a reset to both sides, and says how much that was. To be called when
    /// nobody is accepted any more.
    async fn cut(&self) {
        let connections = self.metrics.totals().active;
        if connections == 0 {
            return;
        }
        warn!(connections, "cutting what has not ended");
        for worker in self
            .gate
            .dispatch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .workers()
        {
            worker.tell(Command::Cut(Reason::Drain));
        }
        if timeout(CUT, self.empty()).await.is_err() {
            warn!(
                connections = self.metrics.totals().active,
                "still there; ending all the same"
            );
        }
    }
}

/// The next word that is more urgent than `stop`.
async fn next_above(stop: Stop, stops: &mut mpsc::UnboundedReceiver<Stop>) -> Stop {
    loop {
        match stops.recv().await {
            Some(next) if next > stop => return next,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
