//! Reports of `overhead` become one.

use super::{Part, apart, kept, pool, same, warnings};
use crate::report::{
    Failure, KindReport, ProxyReport, Report, Settings, Tail, TailDifference, TargetReport,
    TargetTotals, ThroughReport, Totals,
};

/// The report of all `parts`, of which there is at least one.
///
/// # Errors
/// When one does not go together with the first.
pub(super) fn merge(parts: Vec<Part<Report>>) -> anyhow::Result<Report> {
    const MOST_FAILURES: usize = 30;
    let (first_name, first) = &parts[0];
    for (name, report) in &parts[1..] {
        check((first_name, first), (name, report))?;
    }
    let reports = || parts.iter().map(|(_, report)| report);
    let merged: Vec<_> = parts
        .iter()
        .map(|(file, report)| {
            let Report {
                started_at,
                measured_s,
                command,
                environment,
                ..
            } = report;
            kept(file, started_at, *measured_s, command, environment)
        })
        .collect();
    let kinds: Vec<KindReport> = (0..first.kinds.len())
        .map(|place| {
            kind(
                &reports()
                    .map(|report| &report.kinds[place])
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let mut told = warnings(
        parts
            .iter()
            .map(|(file, report)| (file.as_str(), report.warnings.as_slice())),
    );
    told.extend(apart(&merged));
    told.extend(disagreements(&reports().collect::<Vec<_>>()));
    let failures = parts.iter().flat_map(|(file, report)| {
        let failures = report.failures.iter();
        failures.map(move |failure| Failure {
            what: format!("{file}: {}", failure.what),
            ..failure.clone()
        })
    });
    let sum = |of: fn(&Totals) -> u64| reports().map(|report| of(&report.totals)).sum();
    Ok(Report {
        command: std::env::args().collect(),
        started_at: reports()
            .map(|report| &report.started_at)
            .min()
            .cloned()
            .unwrap_or_default(),
        measured_s: reports()
            .map(|report| report.measured_s)
            .fold(0.0, f64::max),
        rounds: reports().map(|report| report.rounds).sum(),
        kinds,
        targets: (0..first.targets.len())
            .map(|place| {
                target(
                    &reports()
                        .map(|report| &report.targets[place])
                        .collect::<Vec<_>>(),
                )
            })
            .collect(),
        totals: Totals {
            requests: sum(|totals| totals.requests),
            errors: sum(|totals| totals.errors),
            different: sum(|totals| totals.different),
            compared_bytes: sum(|totals| totals.compared_bytes),
        },
        proxies: (0..first.proxies.len())
            .map(|place| {
                proxy(
                    &reports()
                        .map(|report| &report.proxies[place])
                        .collect::<Vec<_>>(),
                )
            })
            .collect(),
        syscalls_unavailable: reports().find_map(|report| report.syscalls_unavailable.clone()),
        failures: failures.take(MOST_FAILURES).collect(),
        client_load: reports()
            .map(|report| report.client_load)
            .fold(0.0, f64::max),
        warnings: told,
        failed_if: parts
            .iter()
            .flat_map(|(file, report)| {
                report
                    .failed_if
                    .iter()
                    .map(move |text| format!("{file}: {text}"))
            })
            .collect(),
        merged,
        ..first.clone()
    })
}

/// Whether two reports measured the same in the same way.
fn check(one: (&str, &Report), other: (&str, &Report)) -> anyhow::Result<()> {
    let names = (one.0, other.0);
    let (one, other) = (one.1, other.1);
    same(
        names,
        "settings",
        &comparable(&one.settings),
        &comparable(&other.settings),
    )?;
    let kinds = |report: &Report| {
        let kinds = report.kinds.iter().map(|kind| kind.kind.clone());
        kinds.collect::<Vec<_>>()
    };
    let targets = |report: &Report| {
        let targets = report.targets.iter().map(|target| target.target.clone());
        targets.collect::<Vec<_>>()
    };
    let proxies = |report: &Report| {
        let proxies = report.proxies.iter().map(|proxy| proxy.name.clone());
        proxies.collect::<Vec<_>>()
    };
    same(names, "targets", &targets(one), &targets(other))?;
    same(
        names,
        "proxies started by it",
        &proxies(one),
        &proxies(other),
    )?;
    same(names, "kinds of call", &kinds(one), &kinds(other))
}

/// What may differ left out: each machine's own stand-in and proxies have their own ports, and
/// another seed only makes another order.
fn comparable(settings: &Settings) -> Settings {
    let is_given = settings.backend == "given";
    Settings {
        seed: 0,
        direct: if is_given {
            settings.direct.clone()
        } else {
            String::new()
        },
        via: if is_given {
            settings.via.clone()
        } else {
            Vec::new()
        },
        ..settings.clone()
    }
}

fn kind(all: &[&KindReport]) -> KindReport {
    let through = all[0].through.iter().enumerate();
    let through = through.map(|(place, first)| ThroughReport {
        proxy: first.proxy.clone(),
        calls: calls(all.iter().map(|kind| &kind.through[place].calls)),
        added: pool::differences(all.iter().map(|kind| &kind.through[place].added)),
        added_tail: tail(
            &all.iter()
                .map(|kind| &kind.through[place].added_tail)
                .collect::<Vec<_>>(),
        ),
    });
    KindReport {
        kind: all[0].kind.clone(),
        direct: calls(all.iter().map(|kind| &kind.direct)),
        null: calls(all.iter().map(|kind| &kind.null)),
        noise: pool::differences(all.iter().map(|kind| &kind.noise)),
        through: through.collect(),
    }
}

fn tail(all: &[&Tail]) -> Tail {
    let of =
        |of: fn(&Tail) -> Option<&TailDifference>| pool::tails(all.iter().map(|tail| of(tail)));
    Tail {
        p90: of(|tail| tail.p90.as_ref()),
        p99: of(|tail| tail.p99.as_ref()),
        p999: of(|tail| tail.p999.as_ref()),
    }
}

fn calls<'a>(all: impl Iterator<Item = &'a TargetReport> + Clone) -> TargetReport {
    let sum = |of: fn(&TargetReport) -> u64| all.clone().map(of).sum();
    let service = all.clone().filter_map(|calls| calls.service.as_ref());
    let has_service = service.clone().next().is_some();
    TargetReport {
        requests: sum(|calls| calls.requests),
        errors: sum(|calls| calls.errors),
        different: sum(|calls| calls.different),
        latency: pool::latencies(all.clone().map(|calls| &calls.latency)),
        service: has_service.then(|| pool::latencies(service)),
    }
}

fn target(all: &[&TargetTotals]) -> TargetTotals {
    let sum = |of: fn(&TargetTotals) -> u64| all.iter().map(|totals| of(totals)).sum();
    let cpu = all.iter().map(|totals| {
        (
            Some(totals.machine_cpu_us_per_request),
            totals.requests as f64,
        )
    });
    TargetTotals {
        target: all[0].target.clone(),
        requests: sum(|totals| totals.requests),
        answer_bytes: sum(|totals| totals.answer_bytes),
        offered_per_s: all.iter().map(|totals| totals.offered_per_s).sum(),
        achieved_per_s: all.iter().map(|totals| totals.achieved_per_s).sum(),
        unsent: sum(|totals| totals.unsent),
        machine_cpu_us_per_request: pool::mean(cpu).unwrap_or_default(),
    }
}

fn proxy(all: &[&ProxyReport]) -> ProxyReport {
    // All are shares of the same calls, so each weighs as many as it had.
    let mean = |of: fn(&ProxyReport) -> Option<f64>| {
        pool::mean(all.iter().map(|proxy| (of(proxy), proxy.requests as f64)))
    };
    let most = |of: fn(&ProxyReport) -> u64| all.iter().map(|proxy| of(proxy)).max();
    ProxyReport {
        requests: all.iter().map(|proxy| proxy.requests).sum(),
        cpu_us_per_request: mean(|proxy| Some(proxy.cpu_us_per_request)).unwrap_or_default(),
        cpu_s_per_gib: mean(|proxy| Some(proxy.cpu_s_per_gib)).unwrap_or_default(),
        switches_per_request: mean(|proxy| Some(proxy.switches_per_request)).unwrap_or_default(),
        syscalls_per_request: mean(|proxy| proxy.syscalls_per_request),
        rss_bytes: most(|proxy| proxy.rss_bytes).unwrap_or_default(),
        peak_rss_bytes: most(|proxy| proxy.peak_rss_bytes).unwrap_or_default(),
        ..all[0].clone()
    }
}

/// Where machines found what does not go together: their intervals have nothing in common.
fn disagreements(reports: &[&Report]) -> Vec<String> {
    let mut told = Vec::new();
    for (place, kind) in reports[0].kinds.iter().enumerate() {
        for (proxy, through) in kind.through.iter().enumerate() {
            let all = reports.iter().filter_map(|report| {
                let added = report.kinds[place].through[proxy].added.as_ref()?;
                Some((added.low_ns, added.high_ns))
            });
            if pool::disagree(&all.collect::<Vec<_>>()) {
                told.push(format!(
                    "{} through {}: the machines' own intervals have nothing in common, so that \
                     the pooled one stands for none of them",
                    kind.kind, through.proxy
                ));
            }
        }
    }
    told
}
