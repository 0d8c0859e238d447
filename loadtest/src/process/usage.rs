//! What a process and its children have used so far, read from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time and memory of a process and all its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of the live threads.
    pub(crate) cpu: Duration,
    /// Resident memory now, bytes.
    pub(crate) rss: u64,
    /// Resident memory at its peak, bytes: the sum of each process's own.
    pub(crate) peak_rss: u64,
}

impl Usage {
    /// Reads the usage of `pid` and its descendants.
    ///
    /// # Errors
    /// When `pid` is gone. Descendants that go away meanwhile are left out.
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let mut total = Self::of_one(pid)?;
        for child in children(pid) {
            if let Ok(usage) = Self::read(child) {
                total.cpu += usage.cpu;
                total.rss += usage.rss;
                total.peak_rss += usage.peak_rss;
            }
        }
        Ok(total)
    }

    fn of_one(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            cpu: cpu(pid)?,
            rss: field(&status, "VmRSS:"),
            peak_rss: field(&status, "VmHWM:"),
        })
    }
}

/// The scheduler's own figures, to the nanosecond, where the kernel keeps them; else the ticks.
fn cpu(pid: u32) -> io::Result<Duration> {
    match scheduled(pid) {
        Ok(Some(time)) => Ok(time),
        _ => Ok(ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)),
    }
}

fn scheduled(pid: u32) -> io::Result<Option<Duration>> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        nanoseconds += text
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
    }
    Ok((nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds)))
}

/// User and system time in `/proc/PID/stat`, whose unit is 10 ms.
fn ticks(stat: &str) -> Duration {
    // The name, the second field, may hold anything; it ends with the last bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A field of `/proc/PID/status` in kB, as bytes; 0 where it is missing.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split(' ')
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::read(std::process::id()).unwrap();
        assert!(usage.cpu > Duration::ZERO);
        assert!(
            usage.rss > 100_000 && usage.peak_rss >= usage.rss,
            "{usage:?}"
        );
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        Usage::read(u32::MAX).unwrap_err();
    }

    #[test]
    fn ticks_are_read_past_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks(stat), Duration::from_millis(420));
    }

    #[test]
    fn memory_is_read_by_name() {
        let status = "VmPeak:\t 9 kB\nVmHWM:\t  1944 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(field(status, "VmHWM:"), 1944 * 1024);
        assert_eq!(field(status, "VmRSS:"), 12 * 1024);
        assert_eq!(field(status, "VmSwap:"), 0);
    }
}
