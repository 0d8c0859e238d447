//! A run of scenarios over plain TCP: what `throughput`, `latency` and `connections` share.

use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::bench::Bench;
use super::block::Blocks;
use super::load::Load;
use super::routes::Routes;
use super::series::Unit;
use super::warnings::Watchman;
use crate::cli::TcpArgs;
use crate::connections::idle::IdleLoad;
use crate::fail_if::{self, Condition, MEASURED};
use crate::process::syscalls;
use crate::process::target::Target;
use crate::report::{Environment, Measured, SCHEMA_VERSION, TargetDescription};
use crate::units::short;

/// One scenario.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// As the table names it.
    pub(crate) name: String,
    /// What it counts.
    pub(crate) unit: Unit,
    /// What is done.
    pub(crate) work: Work,
}

/// What a scenario does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Makes load.
    Load(Load),
    /// Opens connections and waits.
    Idle(IdleLoad),
}

/// Runs `future` on a runtime of its own. SIGINT and SIGTERM end it as an error, its processes
/// with it.
///
/// # Errors
/// Those of the future.
pub(crate) fn until_signal<T>(
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            result = Box::pin(future) => result,
            _ = terminate.recv() => bail!("ended by SIGTERM"),
            _ = interrupt.recv() => bail!("ended by SIGINT"),
        }
    });
    runtime.shutdown_background();
    result
}

/// Measures `cases` on all targets, as the flags say.
///
/// # Errors
/// When something cannot be started, or the backend itself fails.
pub(crate) fn run(kind: &str, args: &TcpArgs, cases: &[Case]) -> anyhow::Result<Measured> {
    until_signal(measure(kind, args, cases))
}

async fn measure(kind: &str, args: &TcpArgs, cases: &[Case]) -> anyhow::Result<Measured> {
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    check(&args.fail_if, &names)?;
    let mut routes = Routes::open(&args.targets)?;
    let names: Vec<String> = routes
        .routes
        .iter()
        .map(|route| route.name.clone())
        .collect();
    let scenarios = cases.iter().map(|case| (case.name.clone(), case.unit));
    let mut bench = Bench::new(scenarios.collect(), names.clone());
    let turns = args.rounds * cases.len() * names.len();
    let blocks = Blocks {
        slice: slice(args.duration, turns)?,
        threads: args.threads,
        origin: routes.backend.pid(),
    };
    let (started, started_at) = (Instant::now(), now());
    let mut watchman = Watchman::new();
    let bar = progress(turns);
    for round in 0..args.rounds {
        for (place, case) in cases.iter().enumerate() {
            for target in bench.turns(round) {
                if !bench.is_hopeless(place, target) {
                    turn(
                        &blocks,
                        case,
                        (place, target),
                        &routes,
                        &mut bench,
                        &mut watchman,
                    )
                    .await;
                    routes.check()?;
                    if target == DIRECT && bench.is_hopeless(place, target) {
                        let why = bench.series(place, target).failure().unwrap_or_default();
                        bail!("the backend itself fails: {why}");
                    }
                }
                bar.inc(1);
                let rate = bench.series(place, target).rate(round);
                bar.set_message(format!(
                    "round {}: {}, {}{}",
                    round + 1,
                    case.name,
                    names[target],
                    live_rate(case.unit, rate)
                ));
            }
        }
    }
    let syscalls_unavailable = syscalls::unavailable();
    if syscalls_unavailable.is_none() {
        for (place, case) in cases.iter().enumerate() {
            for (target, route) in routes.routes.iter().enumerate() {
                let Work::Load(load) = case.work else {
                    continue;
                };
                if route.proxy.is_some() && !bench.is_hopeless(place, target) {
                    bar.set_message(format!("system calls: {}, {}", case.name, names[target]));
                    let counted = blocks.run_counting(load, route, true).await;
                    if let Ok(sample) = counted {
                        bench
                            .series(place, target)
                            .record_syscalls(case.unit, &sample);
                    }
                }
            }
        }
    }
    bar.finish_and_clear();
    let scenarios = bench.report(&[DIRECT]);
    let report = Measured {
        schema_version: SCHEMA_VERSION,
        kind: kind.to_owned(),
        command: std::env::args().collect(),
        started_at,
        took_s: started.elapsed().as_secs_f64(),
        environment: Environment::read(),
        rounds: args.rounds,
        slice_s: blocks.slice.as_secs_f64(),
        client_threads: args.threads,
        backend: routes.backend.name().to_owned(),
        targets: routes.routes.iter().map(describe).collect(),
        warnings: watchman.warnings(&scenarios, "--rounds and --duration"),
        scenarios,
        control: None,
        syscalls_unavailable,
        failed_if: Vec::new(),
        merged: Vec::new(),
    };
    Ok(judged(report, &args.fail_if))
}

/// Whether the conditions can be held against these scenarios.
///
/// # Errors
/// What is wrong, and what is allowed.
pub(crate) fn check(conditions: &[Condition], scenarios: &[String]) -> anyhow::Result<()> {
    let mut conditions = conditions.iter();
    let checked = conditions.try_for_each(|condition| condition.check(MEASURED, scenarios));
    checked.map_err(anyhow::Error::msg)
}

/// The report with what its conditions say of it.
pub(crate) fn judged(mut report: Measured, conditions: &[Condition]) -> Measured {
    let figures = |condition: &Condition| fail_if::measured_figures(&report, condition);
    let (failed_if, unsure) = fail_if::judge(conditions, figures);
    report.failed_if = failed_if;
    report.warnings.extend(unsure);
    report
}

/// The place of the direct way among the targets.
const DIRECT: usize = 0;

/// One target's turn with one case.
async fn turn(
    blocks: &Blocks,
    case: &Case,
    (place, target): (usize, usize),
    routes: &Routes,
    bench: &mut Bench,
    watchman: &mut Watchman,
) {
    let series = bench.series(place, target);
    let route = &routes.routes[target];
    match case.work {
        Work::Load(load) => match blocks.run(load, route).await {
            Ok(sample) => {
                watchman.look(&sample);
                series.record(case.unit, &sample);
            }
            Err(error) => series.fail(&error),
        },
        // Memory tells something only in a process that is fresh.
        Work::Idle(idle) => {
            if route.proxy.is_none() {
                return; // no process of its own, or one that is not ours
            }
            match fresh_idle(&routes.targets[target], idle, &routes.backend.addr).await {
                Ok(sample) => series.record_idle(sample),
                Err(error) => series.fail(&error),
            }
        }
    }
}

async fn fresh_idle(
    target: &Target,
    idle: IdleLoad,
    backend: &str,
) -> anyhow::Result<crate::connections::idle::IdleSample> {
    let route = target.open(backend)?;
    match &route.proxy {
        Some(proxy) => idle.run(proxy).await,
        None => bail!("{} has no process to look at", route.name),
    }
}

/// How long a turn is, when `turns` of them share `duration`, warm-ups included.
pub(crate) fn slice(duration: Duration, turns: usize) -> anyhow::Result<Duration> {
    const SHORTEST: Duration = Duration::from_millis(20);
    let turns = u32::try_from(turns).unwrap_or(u32::MAX).max(1);
    let slice = duration / turns * 5 / 6;
    if slice < SHORTEST {
        bail!(
            "--duration {}: {turns} turns of 24 ms at least need {}; raise it, or measure less",
            humantime::format_duration(duration),
            humantime::format_duration(Duration::from_millis(24) * turns)
        );
    }
    Ok(slice)
}

/// RFC 3339, to the second.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A rate, for the message beside the bar.
pub(crate) fn live_rate(unit: Unit, rate: Option<f64>) -> String {
    let rate = rate.map(|rate| match unit {
        Unit::Gibibyte => format!(": {} GiB/s", short(rate)),
        unit => format!(": {} {}s/s", short(rate), unit.name()),
    });
    rate.unwrap_or_default()
}

/// Hidden by itself where stderr is no terminal.
pub(crate) fn progress(turns: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
    ProgressBar::new(turns as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn describe(route: &crate::process::target::Route) -> TargetDescription {
    TargetDescription {
        name: route.name.clone(),
        version: None,
        command: Some(match &route.proxy {
            Some(proxy) => proxy.command.clone(),
            None => format!("(connects to {})", route.addr),
        }),
        config: route.proxy.as_ref().and_then(|proxy| proxy.config.clone()),
        missing: None,
        optional: false,
    }
}
