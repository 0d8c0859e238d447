//! `loadtest overhead`: what a proxy costs the reads of a querier.
//!
//! Direct calls and calls through the proxy take turns in small blocks, over connections that stay
//! open, so that both meet the same machine in the same state. A third target, direct again over
//! connections of its own, shows what differs by chance.

mod block;
mod compare;
mod mix;
mod schedule;
mod tally;
mod targets;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use self::block::Plan;
use self::compare::Expected;
use self::mix::{Kind, Mix};
use self::schedule::{Arm, Schedule};
use self::tally::Tally;
use self::targets::Targets;
use crate::cli::OverheadArgs;
use crate::client::{ClientConfig, QuerierClient};
use crate::process::usage::Usage;
use crate::report::{Environment, ProxyReport, Report, SCHEMA_VERSION, Settings};

/// Measures as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started or connected to, or the backend itself fails.
pub fn run(args: &OverheadArgs) -> anyhow::Result<Report> {
    let targets = Targets::new(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            result = Box::pin(measure(args, targets)) => result,
            _ = terminate.recv() => bail!("ended by SIGTERM"),
            _ = interrupt.recv() => bail!("ended by SIGINT"),
        }
    });
    runtime.shutdown_background();
    result
}

/// The exit code that `report` calls for.
pub fn verdict(report: &Report) -> ExitCode {
    match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn measure(args: &OverheadArgs, mut targets: Targets) -> anyhow::Result<Report> {
    let clients = [
        connect(args, &targets.direct).await?,
        connect(args, &targets.via)
            .await
            .context("through the proxy")?,
        connect(args, &targets.direct).await?,
    ];
    let plan = plan(args, &targets, &clients[Arm::Direct.place()]).await?;
    let mut run = Run {
        schedule: Schedule::new(&plan.mix, args.seed),
        clients: &clients,
        plan: &plan,
        tally: Tally::new(),
        rounds: 0,
        hopeless: 0,
    };
    // Enough for windows, congestion control and caches to settle.
    let warm_up = (args.duration / 10).clamp(Duration::from_millis(200), Duration::from_secs(2));
    run.for_time(warm_up, true, &mut targets, &ProgressBar::hidden())
        .await?;

    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (before, started) = (usage(&targets)?, Instant::now());
    let warmed = run.tally.requests(Arm::Through);
    let bar = progress(args.duration);
    run.for_time(args.duration, false, &mut targets, &bar)
        .await?;
    bar.finish_and_clear();
    let (after, measured) = (usage(&targets)?, started.elapsed());

    let requests = run.tally.requests(Arm::Through) - warmed;
    let warnings = warnings(args, &run, &targets);
    let rounds = run.rounds;
    let (kinds, totals, failures) = run.tally.report();
    let proxy = targets
        .proxy
        .as_ref()
        .zip(before.zip(after))
        .map(|(proxy, (before, after))| {
            let cpu = after.cpu.saturating_sub(before.cpu);
            ProxyReport {
                command: proxy.command.clone(),
                requests,
                cpu_us_per_request: cpu.as_secs_f64() * 1e6 / requests.max(1) as f64,
                rss_bytes: after.rss,
                peak_rss_bytes: after.peak_rss,
            }
        });
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        command: std::env::args().collect(),
        started_at,
        environment: Environment::read(),
        settings: settings(args, &targets),
        measured_s: measured.as_secs_f64(),
        rounds,
        kinds,
        totals,
        proxy,
        failures,
        warnings,
    })
}

async fn connect(args: &OverheadArgs, addr: &str) -> anyhow::Result<Vec<QuerierClient>> {
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        let config = ClientConfig {
            tenant: args.tenant.clone(),
            snappy: args.compression.is_snappy(),
            ..ClientConfig::new(addr)
        };
        clients.push(QuerierClient::connect(config).await?);
    }
    Ok(clients)
}

/// Fixes the calls, and learns their answers from the backend itself.
async fn plan(
    args: &OverheadArgs,
    targets: &Targets,
    direct: &[QuerierClient],
) -> anyhow::Result<Plan> {
    let mix = match targets.has_standin() {
        true => Mix::for_standin(args.seed),
        false => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)?
                .as_secs();
            Mix::discover(&direct[0], &args.trace_ids, u32::try_from(now)?).await?
        }
    };
    let expected = Expected::new(mix.calls().len());
    for (place, call) in mix.calls().iter().enumerate() {
        let answer = direct[0].call(&call.call).await;
        let answer = answer.with_context(|| format!("the backend itself fails: {call}"))?;
        expected.learn(place, answer);
    }
    Ok(Plan {
        mix: Arc::new(mix),
        expected: Arc::new(expected),
        streams: args.streams,
    })
}

/// A run under way.
struct Run<'a> {
    schedule: Schedule<'a>,
    /// Those of each arm.
    clients: &'a [Vec<QuerierClient>; 3],
    plan: &'a Plan,
    tally: Tally,
    /// Rounds measured to their end.
    rounds: u64,
    /// Rounds in a row in which an arm had no answer at all.
    hopeless: u32,
}

impl Run<'_> {
    async fn for_time(
        &mut self,
        time: Duration,
        warming: bool,
        targets: &mut Targets,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        const HOPELESS: u32 = 3;
        let started = Instant::now();
        let end = started + time;
        while Instant::now() < end && self.hopeless < HOPELESS {
            self.round(warming, end).await?;
            targets.check()?;
            bar.set_position(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            let totals = self.tally.totals();
            bar.set_message(format!(
                "{} calls, {} errors",
                totals.requests, totals.errors
            ));
        }
        Ok(())
    }

    /// Makes one round. When the time ends within it, its calls count and its medians do not.
    async fn round(&mut self, warming: bool, end: Instant) -> anyhow::Result<()> {
        let Some(round) = self.schedule.next() else {
            return Ok(());
        };
        let mut answered = true;
        let mut whole = true;
        for arm in round.order {
            let clients = &self.clients[arm.place()];
            let mut none_answered = true;
            for calls in &round.parts {
                let samples = self.plan.run_block(clients, calls, end).await?;
                whole &= samples.len() == calls.len();
                none_answered &= samples.iter().all(|sample| sample.outcome.is_failure());
                self.tally.record(&self.plan.mix, arm, &samples, warming);
            }
            answered &= !none_answered;
        }
        if whole {
            self.hopeless = if answered { 0 } else { self.hopeless + 1 };
        }
        self.tally.end_round(whole && !warming);
        self.rounds += u64::from(whole && !warming);
        Ok(())
    }
}

fn usage(targets: &Targets) -> anyhow::Result<Option<Usage>> {
    targets
        .proxy
        .as_ref()
        .map(|proxy| proxy.usage())
        .transpose()
}

/// Hidden by itself where stderr is no terminal.
fn progress(duration: Duration) -> ProgressBar {
    let length = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn settings(args: &OverheadArgs, targets: &Targets) -> Settings {
    Settings {
        duration_s: args.duration.as_secs_f64(),
        connections: args.connections,
        streams: args.streams,
        seed: args.seed,
        compression: args.compression.to_string(),
        direct: targets.direct.clone(),
        via: targets.via.clone(),
        backend: if targets.has_standin() {
            "stand-in"
        } else {
            "given"
        }
        .to_owned(),
    }
}

fn warnings(args: &OverheadArgs, run: &Run<'_>, targets: &Targets) -> Vec<String> {
    const FEW_ROUNDS: u64 = 50;
    let mut warnings = Vec::new();
    if cfg!(debug_assertions) {
        warnings.push(
            "loadtest was built without optimisation: client and server are slow and noisy; \
             use --release"
                .to_owned(),
        );
    }
    if run.hopeless > 0 {
        warnings.push("a target stopped answering, so the run was cut short".to_owned());
    } else if run.rounds < FEW_ROUNDS {
        warnings.push(format!(
            "only {} rounds: intervals are wide or missing; raise --duration (now {})",
            run.rounds,
            humantime::format_duration(args.duration)
        ));
    }
    for kind in run.tally.unsteady() {
        warnings.push(format!(
            "{kind}: two direct reads differ, so the backend's own answers change; differences \
             through the proxy prove nothing here"
        ));
    }
    if !targets.has_standin() && !run.plan.mix.has(Kind::LargeTrace) {
        warnings.push("no trace above 256 KiB was found; name one with --trace-id HEX".to_owned());
    }
    warnings
}
