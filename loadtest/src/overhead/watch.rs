//! What the proxies use while calls go through them.

use std::time::Duration;

use super::progress::Progress;
use super::rounds::Rounds;
use super::schedule::Arm;
use super::tally::{Tally, Turns};
use super::targets::Targets;
use crate::process::proxy::Proxy;
use crate::process::syscalls::Syscalls;
use crate::process::usage::Usage;
use crate::report::ProxyReport;

/// The proxies under watch since some moment, each with its arm.
#[derive(Debug)]
pub(super) struct Watch(Vec<(Arm, Usage, Turns)>);

const GIBIBYTE: f64 = (1_u64 << 30) as f64;

impl Watch {
    /// Begins to watch the proxies that this run started.
    ///
    /// # Errors
    /// When one of them has ended.
    pub(super) fn start(targets: &Targets, tally: &Tally) -> anyhow::Result<Self> {
        let watched =
            started(targets).map(|(arm, _, proxy)| Ok((arm, proxy.usage()?, tally.turns(arm))));
        Ok(Self(watched.collect::<anyhow::Result<_>>()?))
    }

    /// What each has used since the start.
    ///
    /// # Errors
    /// When one of them has ended.
    pub(super) fn finish(
        self,
        targets: &Targets,
        tally: &Tally,
    ) -> anyhow::Result<Vec<ProxyReport>> {
        let reports = started(targets)
            .zip(self.0)
            .map(|((_, name, proxy), start)| {
                let (arm, before, earlier) = start;
                let (after, now) = (proxy.usage()?, tally.turns(arm));
                let requests = now.requests - earlier.requests;
                let bytes = now.bytes - earlier.bytes;
                let cpu = after.cpu.saturating_sub(before.cpu);
                let switches = after.switches.saturating_sub(before.switches);
                Ok(ProxyReport {
                    name: name.to_owned(),
                    command: proxy.command.clone(),
                    requests,
                    cpu_us_per_request: cpu.as_secs_f64() * 1e6 / requests.max(1) as f64,
                    cpu_s_per_gib: cpu.as_secs_f64() * GIBIBYTE / bytes.max(1) as f64,
                    switches_per_request: switches as f64 / requests.max(1) as f64,
                    syscalls_per_request: None,
                    rss_bytes: after.rss,
                    peak_rss_bytes: after.peak_rss,
                })
            });
        reports.collect()
    }
}

/// Counts the system calls of each proxy in `reports`, in rounds of their own, whose latencies do
/// not count. A proxy whose calls cannot be counted is left without.
///
/// # Errors
/// When a process of `targets` has ended.
pub(super) async fn count_syscalls(
    rounds: &mut Rounds,
    targets: &mut Targets,
    reports: &mut [ProxyReport],
) -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_millis(500); // some hundred calls
    let earlier: Vec<u64> = arms(targets)
        .map(|arm| rounds.tally().requests(arm))
        .collect();
    let counting: Vec<_> = started(targets)
        .map(|(_, _, proxy)| Syscalls::start(proxy.pid()))
        .collect();
    let mut progress = Progress::hidden();
    rounds.run_for(TIME, true, targets, &mut progress).await?;
    let counted = arms(targets).zip(counting).zip(earlier).zip(reports);
    for (((arm, counting), earlier), report) in counted {
        let requests = rounds.tally().requests(arm) - earlier;
        let calls = counting.and_then(Syscalls::finish).ok();
        report.syscalls_per_request = calls.map(|calls| calls as f64 / requests.max(1) as f64);
    }
    Ok(())
}

fn arms(targets: &Targets) -> impl Iterator<Item = Arm> {
    started(targets).map(|(arm, ..)| arm)
}

/// The proxies that this run started, with their arms and names.
fn started(targets: &Targets) -> impl Iterator<Item = (Arm, &str, &Proxy)> {
    let routes = targets.through.iter().enumerate();
    routes.filter_map(|(place, route)| {
        let proxy = route.proxy.as_ref()?;
        Some((Arm::Through(place), route.name.as_str(), proxy))
    })
}
