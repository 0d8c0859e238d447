//! `loadtest soak`: proof that every byte arrives, once, in order, and where it belongs.
//!
//! Both ends of each connection play a part that the seed and the connection's number fix: how
//! much they send in which pieces, when they pause, who outlives whose FIN, who resets. Each knows
//! every byte that is to come. The origin tells its verdicts over a connection of its own, past
//! the proxy.

mod crew;
mod flat;
pub(crate) mod origin;
mod play;
mod script;
mod stream;
mod tallied;
pub mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::crew::{Crew, Until};
use self::flat::Holdings;
use self::tallied::Tallied;
use self::verdict::Verdict;
use crate::cli::SoakArgs;
use crate::process::target::Target;
use crate::report::{Environment, SCHEMA_VERSION, SoakReport};
use crate::tcp::order::Order;
use crate::tcp::routes::Backend;
use crate::tcp::run::{now, progress, until_signal};

/// Looks at the proxy's files and memory; between them, connections.
const PERIODS: u8 = 8;

/// Soaks as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started, or connections cannot be made.
pub fn run(args: &SoakArgs) -> anyhow::Result<SoakReport> {
    until_signal(soak(args))
}

async fn soak(args: &SoakArgs) -> anyhow::Result<SoakReport> {
    let target = Target::proxies(&args.targets)?.into_iter().next();
    let target = target.context("there is no proxy")?;
    let mut backend = Backend::new(&args.targets)?;
    let mut route = target.open(&backend.addr)?;
    let pid = route.proxy.as_ref().map(|proxy| proxy.pid()).or(args.pid);
    let mut holdings = pid.map(Holdings::of).transpose();
    let holdings = holdings.as_mut().map_err(|error| {
        anyhow::anyhow!(
            "cannot look at process {}: {error:#}",
            pid.unwrap_or_default()
        )
    })?;
    let seed = args.seed.map_or_else(seed_of_now, Ok)?;
    let upstream = listen(&backend.addr, seed).await?;

    let (verdicts, seen) = mpsc::unbounded_channel();
    let crew = Arc::new(Crew {
        addr: route.addr.clone(),
        seed,
        next: AtomicU64::new(args.first),
        is_over: AtomicBool::new(false),
        verdicts,
    });
    let mut tallied = Tallied::new(seed, seen, upstream);
    let (started, started_at) = (Instant::now(), now());
    let bar = progress(PERIODS.into());
    for period in 1..=PERIODS {
        let until = match args.connections {
            Some(count) => {
                Until::Connection(args.first + count * u64::from(period) / u64::from(PERIODS))
            }
            None => Until::Time(started + args.duration * u32::from(period) / u32::from(PERIODS)),
        };
        let mut working = work(&crew, args, until);
        while !working.is_empty() {
            tokio::select! {
                Some(worked) = working.join_next() => worked??,
                () = tallied.take() => {}
            }
            bar.set_message(tallied.progress());
            if tallied.mismatch().is_some() {
                crew.is_over.store(true, Ordering::Relaxed);
                break; // the others may stall for long
            }
        }
        if tallied.mismatch().is_none() {
            tallied
                .complete(crew.next.load(Ordering::Relaxed) - args.first)
                .await?;
        }
        route.check()?;
        backend.check()?;
        if tallied.mismatch().is_some() {
            break;
        }
        if let Some(holdings) = holdings {
            holdings.look().await?;
        }
        bar.inc(1);
    }
    tallied.settle().await;
    bar.finish_and_clear();
    let report = SoakReport {
        schema_version: SCHEMA_VERSION,
        kind: "soak".to_owned(),
        command: std::env::args().collect(),
        started_at,
        environment: Environment::read(),
        took_s: started.elapsed().as_secs_f64(),
        seed,
        first: args.first,
        concurrency: args.concurrency,
        proxy: match &route.proxy {
            Some(proxy) => proxy.command.clone(),
            None => route.addr.clone(),
        },
        connections: 0,
        half_closed: 0,
        reset: 0,
        slow: 0,
        resets_as_fin: 0,
        checked_bytes: 0,
        mismatch: None,
        held: holdings.as_ref().map_or_else(Vec::new, Holdings::report),
        warnings: Vec::new(),
    };
    Ok(tallied.into_report(report))
}

/// The crew at work on threads of their own.
fn work(crew: &Arc<Crew>, args: &SoakArgs, until: Until) -> JoinSet<anyhow::Result<()>> {
    let threads = args.threads.min(args.concurrency);
    let mut working = JoinSet::new();
    for thread in 0..threads {
        let places = (thread..args.concurrency).step_by(threads).count();
        let crew = Arc::clone(crew);
        working.spawn_blocking(move || crew.work(places, until));
    }
    working
}

/// Has the origin tell its verdicts, past the proxy.
#[expect(
    clippy::disallowed_methods,
    reason = "the load generator is no part of the forwarder"
)]
async fn listen(
    origin: &str,
    seed: u64,
) -> anyhow::Result<mpsc::UnboundedReceiver<anyhow::Result<Verdict>>> {
    let talk = async {
        let mut stream = TcpStream::connect(origin).await?;
        stream.write_all(&Order::Verdicts { seed }.encode()).await?;
        let mut lines = BufReader::new(stream).lines();
        match lines.next_line().await? {
            Some(line) if line == origin::READY => Ok(lines),
            _ => bail!("it is no origin of loadtest"),
        }
    };
    let lines = timeout(Duration::from_secs(10), talk).await;
    let mut lines = lines
        .context("no answer within 10 s")
        .and_then(|lines| lines)
        .with_context(|| format!("cannot ask {origin} for its verdicts"))?;
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let verdict = serde_json::from_str(&line).context("not a verdict");
            if send.send(verdict).is_err() {
                break; // the run has ended
            }
        }
    });
    Ok(receive)
}

fn seed_of_now() -> anyhow::Result<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs())
}
