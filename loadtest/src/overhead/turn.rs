//! The calls of a querier as one scenario among others: a turn of the mix on one target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::block::{Outcome, Plan};
use super::compare::Expected;
use super::mix::Mix;
use crate::client::{ClientConfig, QuerierClient};
use crate::process::machine;
use crate::process::target::Route;
use crate::seed::Seeded;
use crate::stats::Latencies;
use crate::tcp::block::{Sample, Used};

/// Calls in flight, as `overhead` has them by default.
const STREAMS: usize = 4;

/// The mix against a stand-in.
#[derive(Debug)]
pub(crate) struct Turns {
    plan: Plan,
    seed: u64,
}

impl Turns {
    /// Fixes the calls, and learns their answers from the stand-in at `direct`.
    ///
    /// # Errors
    /// When a call fails.
    pub(crate) async fn new(direct: &str, seed: u64) -> anyhow::Result<Self> {
        let client = QuerierClient::connect(ClientConfig::new(direct)).await?;
        let mix = Mix::for_standin(seed);
        let mut answers = Vec::new();
        for call in mix.calls() {
            let answer = client.call(&call.call).await;
            answers.push(answer.with_context(|| format!("the stand-in itself fails: {call}"))?);
        }
        let plan = Plan {
            mix: Arc::new(mix),
            expected: Arc::new(Expected::new(answers)),
            streams: STREAMS,
        };
        Ok(Self { plan, seed })
    }

    /// Makes blocks of calls over one connection for at least `slice`, after one that does not
    /// count. The same `round` makes the same calls on every target.
    ///
    /// # Errors
    /// When a call fails, or its answer is not the expected one.
    pub(crate) async fn turn(
        &self,
        route: &Route,
        slice: Duration,
        round: usize,
    ) -> anyhow::Result<Sample> {
        let client = QuerierClient::connect(ClientConfig::new(&route.addr)).await?;
        let clients = [client];
        let mut seeded = Seeded::keyed(self.seed, &round.to_le_bytes());
        let mut latencies = Latencies::new();
        self.block(&clients, &mut seeded, &mut latencies).await?;

        let mut latencies = Latencies::new();
        let (before, busy, began) = (route.usage()?, machine::busy(), Instant::now());
        let mut operations = 0;
        while began.elapsed() < slice {
            operations += self.block(&clients, &mut seeded, &mut latencies).await?;
        }
        let time = began.elapsed();
        Ok(Sample {
            time,
            bytes: 0,
            operations,
            latencies,
            proxy: before.zip(route.usage()?).map(|(before, after)| Used {
                cpu: after.cpu.saturating_sub(before.cpu),
                switches: after.switches.saturating_sub(before.switches),
                rss: after.rss,
                syscalls: None,
            }),
            machine: machine::busy().saturating_sub(busy),
            client_load: 0.0, // the client's runtime shares its threads with the rest of the run
            origin_load: None,
            others: None,
        })
    }

    async fn block(
        &self,
        clients: &[QuerierClient],
        seeded: &mut Seeded,
        latencies: &mut Latencies,
    ) -> anyhow::Result<u64> {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut calls = 0;
        for part in &self.plan.mix.block(seeded) {
            let samples = self
                .plan
                .run_block(clients, part, Instant::now() + LIMIT)
                .await?;
            if samples.len() < part.len() {
                bail!("the calls of a block took over 30 s");
            }
            for sample in samples {
                let call = &self.plan.mix.calls()[sample.call];
                match sample.outcome {
                    Outcome::Answered {
                        latency,
                        mismatch: None,
                        ..
                    } => latencies.record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)),
                    Outcome::Answered {
                        mismatch: Some(mismatch),
                        ..
                    } => bail!("{call}: {mismatch}"),
                    Outcome::Failed(status) => bail!("{call}: {}", status.message()),
                }
                calls += 1;
            }
        }
        Ok(calls)
    }
}
