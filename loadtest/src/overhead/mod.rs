//! `loadtest overhead`: what a proxy costs the reads of a querier.
//!
//! Direct calls and calls through the proxy take turns in small blocks, over connections that stay
//! open, so that both meet the same machine in the same state. A third target, direct again over
//! connections of its own, shows what differs by chance.

mod block;
mod compare;
mod mix;
mod rounds;
mod schedule;
mod tally;
mod targets;
pub(crate) mod turn;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use self::block::Plan;
use self::compare::Expected;
use self::mix::{Kind, Mix};
use self::rounds::Rounds;
use self::schedule::Arm;
use self::targets::Targets;
use self::watch::{Watch, count_syscalls};
use crate::cli::OverheadArgs;
use crate::client::{ClientConfig, QuerierClient};
use crate::process::syscalls;
use crate::process::usage::Usage;
use crate::report::{Environment, Report, SCHEMA_VERSION, Settings};

/// Measures as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started or connected to, or the backend itself fails.
pub fn run(args: &OverheadArgs) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        // Before any child, so that no signal ends this process without them.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let targets = Targets::new(args)?;
        tokio::select! {
            result = Box::pin(measure(args, targets)) => result,
            _ = terminate.recv() => bail!("ended by SIGTERM"),
            _ = interrupt.recv() => bail!("ended by SIGINT"),
        }
    });
    runtime.shutdown_background();
    result
}

async fn measure(args: &OverheadArgs, mut targets: Targets) -> anyhow::Result<Report> {
    let direct = targets.direct.clone();
    let mut clients = vec![connect(args, &direct).await?, connect(args, &direct).await?];
    for route in &targets.through {
        let client = connect(args, &route.addr).await;
        clients.push(client.with_context(|| format!("through {}", route.name))?);
    }
    let (plan, left_out) = plan(args, &targets, &clients[Arm::Direct.place()][0]).await?;
    let proxies = targets.proxies();
    let mut rounds = Rounds::new(&plan, &clients, &proxies, args.seed);
    // Enough for windows, congestion control and caches to settle.
    let warm_up = (args.duration / 10).clamp(Duration::from_millis(200), Duration::from_secs(2));
    rounds
        .run_for(warm_up, true, &mut targets, &ProgressBar::hidden())
        .await?;

    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (watch, started) = (Watch::start(&targets, rounds.tally())?, Instant::now());
    let client = own_cpu()?;
    let bar = progress(args.duration);
    rounds
        .run_for(args.duration, false, &mut targets, &bar)
        .await?;
    bar.finish_and_clear();
    let measured = started.elapsed();
    let client = own_cpu()?.saturating_sub(client);
    let mut proxies = watch.finish(&targets, rounds.tally())?;
    let syscalls_unavailable = syscalls::unavailable();
    if syscalls_unavailable.is_none() {
        count_syscalls(&mut rounds, &mut targets, &mut proxies).await?;
    }

    let warnings = [warnings(args, &plan, &rounds, &targets), left_out].concat();
    let measured_rounds = rounds.measured();
    // The stand-in has no excuse: its answers follow from the seed.
    let excused = if targets.has_standin() {
        Vec::new()
    } else {
        rounds.tally().unsteady()
    };
    let target_totals = rounds.tally().targets();
    let (kinds, totals, failures) = rounds.into_tally().report(&excused);
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        kind: "overhead".to_owned(),
        command: std::env::args().collect(),
        started_at,
        environment: Environment::read(),
        settings: settings(args, &targets),
        measured_s: measured.as_secs_f64(),
        rounds: measured_rounds,
        kinds,
        targets: target_totals,
        totals,
        proxies,
        syscalls_unavailable,
        failures,
        client_load: client.as_secs_f64() / measured.as_secs_f64() / threads() as f64,
        warnings,
        failed_if: Vec::new(),
    })
}

/// CPU time of this process so far.
fn own_cpu() -> anyhow::Result<Duration> {
    Ok(Usage::of_one(std::process::id())?.cpu)
}

/// Threads of the client's runtime: one for each CPU.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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

/// Fixes the calls, and learns their answers from the backend itself. Calls that a given backend
/// cannot answer are left out; the second value says which.
async fn plan(
    args: &OverheadArgs,
    targets: &Targets,
    direct: &QuerierClient,
) -> anyhow::Result<(Plan, Vec<String>)> {
    let mix = match targets.has_standin() {
        true => Mix::for_standin(args.seed),
        false => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)?
                .as_secs();
            Mix::discover(direct, &args.trace_ids, u32::try_from(now)?).await?
        }
    };
    let (mut calls, mut answers, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for call in mix.into_calls() {
        match direct.call(&call.call).await {
            Ok(answer) => {
                calls.push(call);
                answers.push(answer);
            }
            Err(status) if targets.has_standin() || calls.is_empty() => {
                return Err(status).with_context(|| format!("the backend itself fails: {call}"));
            }
            Err(status) => left_out.push(format!(
                "{call} is left out, for the backend itself fails: {}",
                status.message()
            )),
        }
    }
    let plan = Plan {
        mix: Arc::new(Mix::of(calls)),
        expected: Arc::new(Expected::new(answers)),
        streams: args.streams,
    };
    Ok((plan, left_out))
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
        mode: "closed".to_owned(),
        rate_per_s: None,
        mix: vec!["querier".to_owned()],
        sizes: Vec::new(),
        connections: args.connections,
        streams: args.streams,
        seed: args.seed,
        compression: args.compression.to_string(),
        tenant: args.tenant.clone(),
        tls: "none".to_owned(),
        direct: targets.direct.clone(),
        via: targets
            .through
            .iter()
            .map(|route| route.addr.clone())
            .collect(),
        backend: if targets.has_standin() {
            "stand-in"
        } else {
            "given"
        }
        .to_owned(),
    }
}

fn warnings(
    args: &OverheadArgs,
    plan: &Plan,
    rounds: &Rounds<'_>,
    targets: &Targets,
) -> Vec<String> {
    const FEW_ROUNDS: u64 = 50;
    let mut warnings = Vec::new();
    if cfg!(debug_assertions) {
        warnings.push(
            "loadtest was built without optimisation: client and server are slow and noisy; \
             use --release"
                .to_owned(),
        );
    }
    if rounds.is_hopeless() {
        warnings.push("a target stopped answering, so the run was cut short".to_owned());
    } else if rounds.measured() < FEW_ROUNDS {
        warnings.push(format!(
            "only {} rounds: intervals are wide or missing; raise --duration (now {})",
            rounds.measured(),
            humantime::format_duration(args.duration)
        ));
    }
    let unsteady = if targets.has_standin() {
        Vec::new()
    } else {
        rounds.tally().unsteady()
    };
    for kind in unsteady {
        warnings.push(format!(
            "{kind}: two direct reads differ, so the backend's own answers change; a difference \
             through the proxy proves nothing here and counts as no error"
        ));
    }
    if !targets.has_standin() && !plan.mix.has(Kind::LargeTrace) {
        warnings.push("no trace above 256 KiB was found; name one with --trace-id HEX".to_owned());
    }
    warnings
}
