//! Ready and live.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{
    account::metrics::Metrics, config::Config, control::probe::probe, edge::dial::Dialer,
    path::listener::Gate,
};

/// How long the upstream's answer is good for: it is not probed more often.
const FRESH: Duration = Duration::from_secs(2);

/// A local upstream accepts in microseconds.
const PROBE: Duration = Duration::from_secs(1);

/// What `/ready` and `/live` say.
pub(super) struct Health {
    gate: Arc<Gate>,
    config: Arc<Config>,
    metrics: Metrics,
    dialer: Dialer,
    /// What the upstreams said last. Whoever asks while it is being found out waits for it.
    upstreams: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Health {
    pub(super) fn new(
        gate: Arc<Gate>,
        config: Arc<Config>,
        metrics: Metrics,
        dialer: Dialer,
    ) -> Self {
        Self {
            gate,
            config,
            metrics,
            dialer,
            upstreams: Mutex::default(),
        }
    }

    /// Whether new connections are welcome, and will be served.
    ///
    /// # Errors
    /// Why not, in one line.
    pub(super) async fn ready(&self) -> Result<(), String> {
        if self.metrics.draining.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        if self.gate.closed.is_cancelled() {
            return Err("not listening".to_owned());
        }
        let mut upstreams = self.upstreams.lock().await;
        if let Some((asked, answer)) = &*upstreams
            && asked.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = self.probe().await;
        *upstreams = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn probe(&self) -> Result<(), String> {
        for forward in &self.config.forwards {
            let (upstream, version) = (&forward.upstream, self.config.proxy_protocol.send);
            if let Err(error) = probe(upstream, version, PROBE, &self.dialer).await {
                return Err(format!("upstream {upstream}: {error}"));
            }
        }
        Ok(())
    }

    /// Whether every worker keeps up.
    ///
    /// # Errors
    /// Which does not, in one line.
    pub(super) fn live(&self) -> Result<(), String> {
        self.metrics.stuck().map_or(Ok(()), |(id, wait)| {
            let seconds = wait.as_secs_f64();
            Err(format!("worker {id} has been stuck for {seconds:.1} s"))
        })
    }
}
