//! `loadtest overhead`: what a proxy costs the reads of a querier.
//!
//! Direct calls and calls through the proxy take turns in small blocks, over connections that stay
//! open, so that both meet the same machine in the same state. A third target, direct again over
//! connections of its own, shows what differs by chance.

mod advice;
mod block;
mod calls;
mod closed;
mod compare;
pub(crate) mod kind;
mod mix;
mod open;
mod plan;
mod progress;
mod rounds;
mod schedule;
mod tally;
mod targets;
pub(crate) mod turn;
mod watch;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use self::advice::Watchman;
use self::closed::Closed;
use self::open::Open;
use self::plan::{connect, plan};
use self::progress::Progress;
use self::rounds::Rounds;
use self::schedule::Arm;
use self::targets::Targets;
use self::watch::{Watch, count_syscalls};
use crate::cli::OverheadArgs;
use crate::fail_if::{self, Condition};
use crate::process::syscalls;
use crate::report::{Environment, Report, SCHEMA_VERSION, Settings};
use crate::warning::Warning;

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
    let connect = |addr: String| {
        let direct = direct.clone();
        async move { connect(args, &direct, &addr).await }
    };
    let mut clients = vec![
        connect(direct.clone()).await?,
        connect(direct.clone()).await?,
    ];
    for route in &targets.through {
        let client = connect(route.addr.clone()).await;
        clients.push(client.with_context(|| format!("through {}", route.name))?);
    }
    let (plan, mut warnings) = plan(args, &targets, &clients[Arm::Direct.place()][0]).await?;
    let proxies = targets.proxies();
    let mut rounds = match args.rate {
        None => Rounds::Closed(Box::new(Closed::new(plan, clients, &proxies, args.seed))),
        Some(rate) => {
            let open = Open::new(&plan, &clients, &proxies, args.seed, rate);
            Rounds::Open(Box::new(open))
        }
    };
    args.start.wait().await?;
    // Enough for windows, congestion control and caches to settle.
    let warm_up = (args.duration / 10).clamp(Duration::from_millis(200), Duration::from_secs(2));
    rounds
        .run_for(warm_up, true, &mut targets, &mut Progress::hidden())
        .await?;

    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (watch, watchman) = (
        Watch::start(&targets, rounds.tally())?,
        Watchman::new(&targets)?,
    );
    let (started, mut progress) = (Instant::now(), Progress::new(args.duration));
    rounds
        .run_for(args.duration, false, &mut targets, &mut progress)
        .await?;
    progress.finish();
    let measured = started.elapsed();
    let seen = watchman.seen(&targets, measured, threads())?;
    let mut proxies = watch.finish(&targets, rounds.tally())?;
    let syscalls_unavailable = syscalls::unavailable();
    if syscalls_unavailable.is_none() {
        count_syscalls(&mut rounds, &mut targets, &mut proxies).await?;
    }

    let (measured_rounds, is_hopeless) = (rounds.measured(), rounds.is_hopeless());
    let excused = advice::unsteady(&rounds, &targets);
    let target_totals = rounds.tally().targets();
    let (kinds, totals, failures) = rounds.into_tally().report(&excused);
    warnings.extend(advice::of_rounds(
        args,
        measured_rounds,
        is_hopeless,
        &kinds,
        &target_totals,
    ));
    warnings.extend(
        excused
            .iter()
            .map(|kind| Warning::Unsteady(kind.to_string())),
    );
    warnings.extend(seen.warnings);
    let mut report = Report {
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
        client_load: seen.client_load,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        failed_if: Vec::new(),
        merged: Vec::new(),
    };
    let figures = |condition: &Condition| fail_if::overhead_figures(&report, condition);
    let (failed_if, unsure) = fail_if::judge(&args.fail_if, figures);
    report.failed_if = failed_if;
    report.warnings.extend(unsure);
    Ok(report)
}

/// Threads of the client's runtime: one for each CPU.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn settings(args: &OverheadArgs, targets: &Targets) -> Settings {
    let backend = if targets.has_standin() {
        "stand-in"
    } else {
        "given"
    };
    Settings {
        duration_s: args.duration.as_secs_f64(),
        mode: if args.rate.is_some() {
            "open"
        } else {
            "closed"
        }
        .to_owned(),
        rate_per_s: args.rate,
        mix: args.mix.iter().map(ToString::to_string).collect(),
        sizes: args.sizes.clone(),
        connections: args.connections,
        streams: args.streams(),
        seed: args.seed,
        compression: args.compression.to_string(),
        tenant: args.tenant.clone(),
        tls: args.tls.name().to_owned(),
        direct: targets.direct.clone(),
        via: targets
            .through
            .iter()
            .map(|route| route.addr.clone())
            .collect(),
        backend: backend.to_owned(),
    }
}
