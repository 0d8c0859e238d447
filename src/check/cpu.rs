//! The workers: as many as there is CPU time for, and their scheduling class.

use std::{fs, path::Path, thread};

use super::Finding;
use crate::{
    config::{Config, Sched},
    server,
    sys::{self, CpuQuota},
};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let cgroups = sys::cpu_cgroups(Path::new("/"));
    let quota = cgroups
        .iter()
        .filter_map(|dir| CpuQuota::of(dir))
        .min_by_key(|quota| quota.millicpus());
    let mut findings = vec![workers(
        server::workers(config),
        sys::usable_cpus().get(),
        quota.map(CpuQuota::millicpus),
    )];
    let stats = cgroups
        .iter()
        .filter_map(|dir| fs::read_to_string(dir.join("cpu.stat")).ok())
        .filter_map(|stat| Throttling::parse(&stat));
    // A cgroup and those above it: the one that was held back most often.
    if let Some(worst) = stats.max_by_key(|stat| stat.throttled) {
        findings.push(worst.finding());
    }
    findings.push(sched(config.sched));
    findings
}

fn workers(workers: usize, cpus: usize, millicpus: Option<usize>) -> Finding {
    const ID: &str = "workers";
    let quota = millicpus.map(|quota| format!(", the cgroup's quota: {quota}m"));
    let quota = quota.unwrap_or_default();
    if workers > cpus {
        return Finding::warning(
            ID,
            format_args!(
                "workers: {workers}, usable CPUs: {cpus}{quota}; lower --workers, or give the \
                 process more CPUs"
            ),
        );
    }
    Finding::ok(
        ID,
        format_args!("workers: {workers}, usable CPUs: {cpus}{quota}"),
    )
}

/// What a cgroup's quota has done; both versions of cgroups count it in `cpu.stat`.
#[derive(Debug)]
struct Throttling {
    /// Periods in which the cgroup ran.
    periods: u64,
    /// Those at whose end it had to wait.
    throttled: u64,
}

impl Throttling {
    fn parse(stat: &str) -> Option<Self> {
        let field = |name: &str| {
            let fields = stat.lines().filter_map(|line| line.split_once(' '));
            let (_, value) = fields.into_iter().find(|(field, _)| *field == name)?;
            value.trim().parse().ok()
        };
        Some(Self {
            periods: field("nr_periods")?,
            throttled: field("nr_throttled")?,
        })
    }

    fn finding(&self) -> Finding {
        const ID: &str = "cpu-throttling";
        let Self { periods, throttled } = self;
        if *throttled > 0 {
            Finding::warning(
                ID,
                format_args!(
                    "the cgroup's quota held its processes back in {throttled} of {periods} \
                     periods, which delays messages by up to a period each time: raise the CPU \
                     limit, or take it away"
                ),
            )
        } else {
            Finding::ok(ID, "no quota has held the cgroup's processes back")
        }
    }
}

fn sched(wanted: Sched) -> Finding {
    const ID: &str = "sched";
    if wanted == Sched::Normal {
        return Finding::ok(ID, "--sched normal needs nothing of the system");
    }
    // On a thread of its own, since there is no way back for this one.
    match thread::spawn(sys::schedule_as_batch).join() {
        Ok(Ok(())) => Finding::ok(
            ID,
            "SCHED_BATCH can be had; it is for cores that no other process keeps busy",
        ),
        Ok(Err(error)) => Finding::warning(
            ID,
            format_args!(
                "SCHED_BATCH is refused ({error}), and small messages cost more CPU: allow \
                 sched_setscheduler in the sandbox, or give --sched normal"
            ),
        ),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Level;

    #[test]
    fn more_workers_than_cpus_are_a_warning() {
        assert_eq!(workers(2, 2, None).level, Level::Ok);
        let finding = workers(2, 1, Some(500));
        assert_eq!(finding.level, Level::Warning);
        assert!(
            finding.message.contains("quota: 500m"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn throttling_is_read_from_either_version() {
        let v1 = "nr_periods 10\nnr_throttled 3\nthrottled_time 12345\n";
        let v2 = "usage_usec 5\nuser_usec 4\nsystem_usec 1\nnr_periods 7\nnr_throttled 0\n";
        let of = |stat| Throttling::parse(stat).unwrap().finding();
        assert_eq!(of(v1).level, Level::Warning);
        assert!(of(v1).message.contains("3 of 10"), "{}", of(v1).message);
        assert_eq!(of(v2).level, Level::Ok);
        assert!(
            Throttling::parse("usage_usec 5\n").is_none(),
            "the root's has none"
        );
    }
}
