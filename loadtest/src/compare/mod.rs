//! `loadtest compare`: all scenarios for direct, portamento and each peer that is installed.
//!
//! One target at a time, in fresh processes: a turn starts the target, takes it through all
//! scenarios, and ends it. A round gives each target a turn. portamento is in it twice, as a
//! control: what differs between the two is noise.

mod peers;
mod scenarios;

use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;

use self::peers::Peer;
use self::scenarios::{Scenarios, Step};
use crate::cli::{CompareArgs, ProxyCommand};
use crate::overhead::turn::Turns;
use crate::process::target::{Route, Target};
use crate::process::{self, Guard, portamento};
use crate::report::{Environment, Measured, SCHEMA_VERSION, TargetDescription};
use crate::tcp::bench::Bench;
use crate::tcp::block::Blocks;
use crate::tcp::routes::Backend;
use crate::tcp::run::{Work, check, judged, live_rate, now, progress, until_signal};
use crate::tcp::warnings::Watchman;

/// Compares as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When portamento cannot be found, or a backend itself fails.
pub fn run(args: &CompareArgs) -> anyhow::Result<Measured> {
    let names = Scenarios::all().names().into_iter();
    let names: Vec<String> = names.map(|(name, _)| name).collect();
    check(&args.fail_if, &names)?;
    until_signal(async {
        let comparing = Box::pin(Comparing::new(args)).await?;
        Box::pin(comparing.run(args)).await
    })
}

/// Places among the targets.
const DIRECT: usize = 0;
const PORTAMENTO: usize = 1;
const CONTROL: usize = 2;

/// A comparison under way.
struct Comparing {
    targets: Vec<Target>,
    described: Vec<TargetDescription>,
    scenarios: Scenarios,
    blocks: Blocks,
    bench: Bench,
    watchman: Watchman,
    turns: Turns,
    bar: ProgressBar,
    backend: Backend,
    standin: Guard,
    standin_addr: String,
}

impl Comparing {
    async fn new(args: &CompareArgs) -> anyhow::Result<Self> {
        const SEED: u64 = 1;
        let (targets, described) = targets(args)?;
        let scenarios = Scenarios::all();
        let backend = Backend::new(&crate::cli::TargetArgs::default())?;
        let (standin, standin_addr) = process::start_standin(SEED)?;
        let standin_addr = standin_addr.to_string();
        let names = targets.iter().map(|target| target.name().to_owned());
        let bar = progress(args.rounds() * targets.len());
        Ok(Self {
            blocks: Blocks {
                slice: slice(args.duration() / 60 * 58, args.rounds() * targets.len())?,
                threads: args.threads,
                origin: backend.pid(),
            },
            bench: Bench::new(scenarios.names(), names.collect()),
            turns: Turns::new(&standin_addr, SEED).await?,
            watchman: Watchman::new(),
            targets,
            described,
            scenarios,
            bar,
            backend,
            standin,
            standin_addr,
        })
    }

    async fn run(mut self, args: &CompareArgs) -> anyhow::Result<Measured> {
        let (started, started_at) = (Instant::now(), now());
        let mut warnings = Vec::new();
        for round in 0..args.rounds() {
            for target in self.bench.turns(round) {
                let name = self.targets[target].name();
                self.bar.set_message(format!("round {}: {name}", round + 1));
                self.turn(round, target).await;
                self.backend.check()?;
                self.standin.check()?;
                self.bar.inc(1);
            }
            if let Some(why) = self.backend_failure() {
                bail!("the backend itself fails: {why}");
            }
            // Targets that stall take longer than planned.
            if started.elapsed() > args.duration() + args.duration() / 4 {
                warnings.push(format!(
                    "ended after {} rounds, for time was over",
                    round + 1
                ));
                break;
            }
        }
        self.bar.finish_and_clear();
        let scenarios = self.bench.report(&[DIRECT, PORTAMENTO]);
        warnings.extend(
            self.watchman
                .warnings(&scenarios, "--rounds and --duration"),
        );
        let report = Measured {
            schema_version: SCHEMA_VERSION,
            kind: "compare".to_owned(),
            command: std::env::args().collect(),
            started_at,
            took_s: started.elapsed().as_secs_f64(),
            environment: Environment::read(),
            rounds: args.rounds(),
            slice_s: self.blocks.slice.as_secs_f64(),
            client_threads: args.threads,
            backend: self.backend.name().to_owned(),
            targets: self.described,
            control: self.bench.overall(CONTROL, PORTAMENTO),
            scenarios,
            syscalls_unavailable: Some("compare does not count them".to_owned()),
            warnings,
            failed_if: Vec::new(),
            merged: Vec::new(),
        };
        Ok(judged(report, &args.fail_if))
    }

    /// Takes a target through all scenarios, in processes of its own.
    async fn turn(&mut self, round: usize, target: usize) {
        let plain: Vec<usize> = self.scenarios.plain().collect();
        self.on_route(target, &plain, round, false).await;
        let calls: Vec<usize> = self.scenarios.calls().collect();
        self.on_route(target, &calls, round, true).await;
    }

    async fn on_route(&mut self, target: usize, places: &[usize], round: usize, calls: bool) {
        let places: Vec<usize> = places
            .iter()
            .copied()
            .filter(|&place| !self.bench.is_hopeless(place, target))
            .collect();
        if places.is_empty() {
            return;
        }
        let upstream = if calls {
            &self.standin_addr
        } else {
            &self.backend.addr
        };
        let mut route = match self.targets[target].open(upstream) {
            Ok(route) => route,
            Err(error) => {
                for place in places {
                    self.bench.series(place, target).fail(&error);
                }
                return;
            }
        };
        for place in places {
            let failed = self.step(place, target, &route, round).await;
            self.show(place, target, round);
            // A target that died fails the rest as well, each with the reason.
            if let Err(error) = failed.and_then(|()| route.check()) {
                self.bench.series(place, target).fail(&error);
            }
        }
    }

    /// The rate of the turn that is just over, beside the bar.
    fn show(&mut self, place: usize, target: usize, round: usize) {
        let names = self.scenarios.names();
        let (name, unit) = &names[place];
        let rate = self.bench.series(place, target).rate(round);
        self.bar.set_message(format!(
            "round {}: {}, {name}{}",
            round + 1,
            self.targets[target].name(),
            live_rate(*unit, rate)
        ));
    }

    async fn step(
        &mut self,
        place: usize,
        target: usize,
        route: &Route,
        round: usize,
    ) -> anyhow::Result<()> {
        let (unit, step) = self.scenarios.step(place);
        match step {
            Step::Plain(Work::Load(load)) => {
                let sample = self.blocks.run(load, route).await?;
                self.watchman.look(&sample);
                self.bench.series(place, target).record(unit, &sample);
            }
            Step::Plain(Work::Idle(idle)) => {
                if let Some(proxy) = &route.proxy {
                    let sample = idle.run(proxy).await?;
                    self.bench.series(place, target).record_idle(sample);
                }
            }
            Step::Calls => {
                let sample = self.turns.turn(route, self.blocks.slice, round).await?;
                self.bench.series(place, target).record(unit, &sample);
            }
        }
        Ok(())
    }

    fn backend_failure(&mut self) -> Option<String> {
        let mut places = 0..self.scenarios.names().len();
        let place = places.find(|&place| self.bench.is_hopeless(place, DIRECT))?;
        self.bench.series(place, DIRECT).failure()
    }
}

/// Direct, portamento twice, the peers, and what else was asked for; those that are not installed
/// are described and left out.
fn targets(args: &CompareArgs) -> anyhow::Result<(Vec<Target>, Vec<TargetDescription>)> {
    let binary = portamento::find(args.portamento.as_deref())?;
    let own = ProxyCommand::portamento(&binary);
    let control = ProxyCommand {
        name: "portamento-again".to_owned(),
        ..own.clone()
    };
    let own = [own, control].map(|command| Peer {
        command,
        version: peers::told(&binary, &["--version"]),
        missing: None,
    });
    let others = args.proxies.iter().map(|command| Peer {
        command: command.clone(),
        version: None,
        missing: None,
    });
    let mut described = vec![TargetDescription {
        name: Target::Direct.name().to_owned(),
        ..TargetDescription::default()
    }];
    let mut targets = vec![Target::Direct];
    for (place, peer) in own
        .into_iter()
        .chain(peers::all())
        .chain(others)
        .enumerate()
    {
        described.push(TargetDescription {
            name: peer.command.name.clone(),
            version: peer.version,
            command: Some(peer.command.template.clone()),
            config: peer.command.config.clone(),
            optional: place >= CONTROL,
            missing: peer.missing.clone(),
        });
        if peer.missing.is_none() {
            targets.push(Target::Proxy(peer.command));
        }
    }
    Ok((targets, described))
}

/// How long each scenario of a turn is measured, so that `turns` of them fit into `duration`.
fn slice(duration: Duration, turns: usize) -> anyhow::Result<Duration> {
    /// What a turn takes besides: processes, connections, idle ones, a block of calls to warm up.
    const FIXED: Duration = Duration::from_millis(1_300);
    const SHORTEST: Duration = Duration::from_millis(30);
    let turn = duration / u32::try_from(turns).unwrap_or(u32::MAX);
    // A fifth for the warm-up, and as much for connecting and ending.
    let count = u32::try_from(Scenarios::all().names().len()).unwrap_or(u32::MAX);
    let slice = turn.saturating_sub(FIXED) * 5 / 7 / count;
    if slice < SHORTEST {
        bail!(
            "--duration: {turns} turns (targets times rounds) take at least {}; raise it, or lower \
             --rounds",
            humantime::format_duration(
                (FIXED + SHORTEST * count * 2) * u32::try_from(turns).unwrap_or(u32::MAX)
            )
        );
    }
    Ok(slice)
}
