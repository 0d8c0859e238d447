//! One block: a load on one target for a slice of time, with everybody under watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::load::{Counts, Load, Phase, Shared};
use crate::process::machine;
use crate::process::syscalls::Syscalls;
use crate::process::target::Route;
use crate::process::usage::Usage;
use crate::stats::Latencies;

/// How long connections may take to stand, and to end.
const LIMIT: Duration = Duration::from_secs(10);

/// How blocks are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// How long each is measured, after a warm-up of a fifth of it.
    pub(crate) slice: Duration,
    /// Threads of the client, at most one for each connection.
    pub(crate) threads: usize,
    /// The origin's process, when this run started it.
    pub(crate) origin: Option<u32>,
}

/// What a block came to.
#[derive(Debug)]
pub(crate) struct Sample {
    /// How long was measured.
    pub(crate) time: Duration,
    /// Bytes of bulk in that time.
    pub(crate) bytes: u64,
    /// Requests answered in that time.
    pub(crate) operations: u64,
    /// How long they took.
    pub(crate) latencies: Latencies,
    /// What the proxy used, when this run started it.
    pub(crate) proxy: Option<Used>,
    /// CPU time of the whole machine.
    pub(crate) machine: Duration,
    /// CPU time of this process, as a share of what its threads could use.
    pub(crate) client_load: f64,
    /// The same of the origin's process.
    pub(crate) origin_load: Option<f64>,
    /// CPU seconds of everybody else, where all that take part are known; a little below zero when
    /// nobody else did anything, for the machine's clock is coarse.
    pub(crate) others: Option<f64>,
}

/// What a proxy used in a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Context switches.
    pub(crate) switches: u64,
    /// Resident memory at the end, bytes.
    pub(crate) rss: u64,
    /// System calls, in a block that counts them.
    pub(crate) syscalls: Option<u64>,
}

impl Blocks {
    /// Makes a block of `load` on `route`.
    ///
    /// # Errors
    /// When a connection breaks, a byte is wrong, or nothing moves any more.
    pub(crate) async fn run(&self, load: Load, route: &Route) -> anyhow::Result<Sample> {
        self.run_counting(load, route, false).await
    }

    /// The same, with the proxy's system calls counted, which slows it: only that count is of use.
    ///
    /// # Errors
    /// As [`Blocks::run`], and when the calls cannot be counted.
    pub(crate) async fn run_counting(
        &self,
        load: Load,
        route: &Route,
        syscalls: bool,
    ) -> anyhow::Result<Sample> {
        let threads = self.threads.min(load.connections());
        let phase = Arc::new(AtomicU8::new(Phase::Warm as u8));
        let counts: Vec<Arc<Counts>> = (0..threads).map(|_| Arc::default()).collect();
        let (ready, mut readied) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        for (thread, counts) in counts.iter().enumerate() {
            let shared = Shared::new(Arc::clone(&phase), Arc::clone(counts), ready.clone());
            let addr = route.addr.clone();
            running.spawn_blocking(move || load.run_thread(&addr, thread, threads, shared));
        }
        drop(ready);
        // Also when this future is dropped, the threads come to their end.
        let _stop = Stop(&phase);
        let all_ready = async {
            for _ in 0..load.connections() {
                if readied.recv().await.is_none() {
                    break; // the threads' own error says more
                }
            }
        };
        if timeout(LIMIT, all_ready).await.is_err() {
            bail!("connections through {} do not stand after 10 s", route.name);
        }
        wait(self.slice / 5, &mut running).await?;
        let count = syscalls
            .then_some(route.proxy.as_ref())
            .flatten()
            .map(|proxy| Syscalls::start(proxy.pid()))
            .transpose()?;
        let before = self.look(route, &counts)?;
        phase.store(Phase::Measure as u8, Ordering::Relaxed);
        wait(self.slice, &mut running).await?;
        phase.store(Phase::Stop as u8, Ordering::Relaxed);
        let after = self.look(route, &counts)?;
        let calls = count.map(Syscalls::finish).transpose()?;

        let mut latencies = Latencies::new();
        while let Some(joined) = timeout(LIMIT, running.join_next())
            .await
            .with_context(|| format!("a connection through {} does not end", route.name))?
        {
            latencies.add(&joined??);
        }
        let mut sample = before.until(&after, latencies, calls, threads);
        // A proxy of which nothing is known would count as somebody else.
        sample.others = sample
            .others
            .filter(|_| route.proxy.is_some() || route.is_direct);
        Ok(sample)
    }

    fn look(&self, route: &Route, counts: &[Arc<Counts>]) -> anyhow::Result<Look> {
        let sum = |of: fn(&Counts) -> u64| counts.iter().map(|counts| of(counts)).sum();
        let cpu = |pid| Usage::of_one(pid).map(|usage| usage.cpu);
        Ok(Look {
            at: Instant::now(),
            bytes: sum(|counts| counts.bytes.load(Ordering::Relaxed)),
            operations: sum(|counts| counts.operations.load(Ordering::Relaxed)),
            proxy: route.usage()?,
            machine: machine::busy(),
            client: cpu(std::process::id())?,
            origin: self.origin.map(cpu).transpose().context("the origin")?,
        })
    }
}

/// Waits for `time`, unless a thread ends before.
async fn wait(
    time: Duration,
    running: &mut JoinSet<anyhow::Result<Latencies>>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = running.join_next() => match ended? {
            Ok(_) => bail!("a connection ended early"),
            Err(error) => Err(error),
        },
    }
}

struct Stop<'a>(&'a AtomicU8);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(Phase::Stop as u8, Ordering::Relaxed);
    }
}

/// All counters at one moment.
struct Look {
    at: Instant,
    bytes: u64,
    operations: u64,
    proxy: Option<Usage>,
    machine: Duration,
    client: Duration,
    origin: Option<Duration>,
}

impl Look {
    fn until(
        &self,
        after: &Self,
        latencies: Latencies,
        syscalls: Option<u64>,
        threads: usize,
    ) -> Sample {
        let time = after.at - self.at;
        let share = |before: Duration, after: Duration, threads: usize| {
            after.saturating_sub(before).as_secs_f64() / time.as_secs_f64() / threads as f64
        };
        let used = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64();
        let proxy = self.proxy.zip(after.proxy);
        let proxy = proxy.map_or(0.0, |(before, after)| used(before.cpu, after.cpu));
        let others = self.origin.zip(after.origin).map(|(before, after_origin)| {
            let known = used(self.client, after.client) + used(before, after_origin) + proxy;
            used(self.machine, after.machine) - known
        });
        Sample {
            time,
            others,
            bytes: after.bytes - self.bytes,
            operations: after.operations - self.operations,
            latencies,
            proxy: self.proxy.zip(after.proxy).map(|(before, after)| Used {
                cpu: after.cpu.saturating_sub(before.cpu),
                switches: after.switches.saturating_sub(before.switches),
                rss: after.rss,
                syscalls,
            }),
            machine: after.machine.saturating_sub(self.machine),
            client_load: share(self.client, after.client, threads),
            origin_load: self
                .origin
                .zip(after.origin)
                .map(|(before, after)| share(before, after, threads)),
        }
    }
}
