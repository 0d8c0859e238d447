//! What a process and its children have used so far, read from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time, memory and context switches of a process and all its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, that of descendants which have ended included.
    pub(crate) cpu: Duration,
    /// Resident memory now, bytes.
    pub(crate) rss: u64,
    /// Resident memory at its peak, bytes: the sum of each process's own.
    pub(crate) peak_rss: u64,
    /// Context switches of the live threads, voluntary or not.
    pub(crate) switches: u64,
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
                total.switches += usage.switches;
            }
        }
        Ok(total)
    }

    /// Reads the usage of `pid` alone, with the CPU time of the children that it has waited for.
    ///
    /// # Errors
    /// When `pid` is gone.
    pub(crate) fn of_one(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (scheduled, switches) = of_threads(pid)?;
        Ok(Self {
            // The scheduler's own figures are exact to the nanosecond, but lose ended threads.
            cpu: scheduled.max(ticks(&stat, OWN)) + ticks(&stat, CHILDREN),
            rss: field(&status, "VmRSS:"),
            peak_rss: field(&status, "VmHWM:"),
            switches,
        })
    }
}

/// `pid` and its descendants, as far as they live.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        pids.extend(children(pid));
        next += 1;
    }
    pids
}

/// CPU time and context switches of the live threads.
fn of_threads(pid: u32) -> io::Result<(Duration, u64)> {
    let (mut nanoseconds, mut switches) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let Ok(status) = fs::read_to_string(task.join("status")) else {
            continue; // has ended meanwhile
        };
        switches += number(&status, "voluntary_ctxt_switches:")
            + number(&status, "nonvoluntary_ctxt_switches:");
        let scheduled = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        let time = scheduled.split(' ').next().and_then(|n| n.parse().ok());
        nanoseconds += time.unwrap_or(0);
    }
    Ok((Duration::from_nanos(nanoseconds), switches))
}

/// Where user time stands in `/proc/PID/stat` behind the name, and system time after it.
const OWN: usize = 11;
/// The same of children that have ended and were waited for.
const CHILDREN: usize = 13;

/// User and system time in `/proc/PID/stat`, whose unit is 10 ms.
fn ticks(stat: &str, place: usize) -> Duration {
    // The name, the second field, may hold anything; it ends with the last bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_whitespace().skip(place).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A field of `/proc/PID/status` in kB, as bytes; 0 where it is missing.
fn field(status: &str, name: &str) -> u64 {
    number(status, name) * 1024
}

/// A field of `/proc/PID/status`, without its unit; 0 where it is missing.
fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
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
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::Guard;

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
    fn children_that_have_ended_count() {
        // The child burns, ends, and tells what the kernel says of it; the shell has waited for it.
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); times; exec sleep 600";
        let mut command = Command::new("sh");
        let mut guard = Guard::spawn(
            "burner",
            command.args(["-c", script]).stdout(Stdio::piped()),
        )
        .unwrap();
        let stdout = BufReader::new(guard.child.stdout.take().unwrap());
        let lines: Vec<_> = stdout.lines().take(2).map(Result::unwrap).collect();
        // 0m1.234s 0m0.005s
        let told = lines[1].split(' ').map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        });
        let (told, read) = (told.sum::<f64>(), Usage::read(guard.pid()).unwrap().cpu);
        assert!(
            told > 0.05,
            "the burner is too fast for this test: {lines:?}"
        );
        let ratio = read.as_secs_f64() / told;
        assert!((0.7..1.3).contains(&ratio), "{read:?}, {lines:?}");
    }

    #[test]
    fn a_tree_has_its_descendants() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo started; wait"]);
        let mut guard = Guard::spawn("parent", command.stdout(Stdio::piped())).unwrap();
        let mut stdout = BufReader::new(guard.child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let pids = tree(guard.pid());
        assert_eq!((pids.len(), pids[0]), (2, guard.pid()));
        assert!(Usage::read(pids[0]).unwrap().switches > 0);
    }

    #[test]
    fn ticks_are_read_past_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 7 1 20 0 1 0 5 0 0";
        assert_eq!(ticks(stat, OWN), Duration::from_millis(420));
        assert_eq!(ticks(stat, CHILDREN), Duration::from_millis(80));
    }

    #[test]
    fn memory_is_read_by_name() {
        let status = "VmPeak:\t 9 kB\nVmHWM:\t  1944 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(field(status, "VmHWM:"), 1944 * 1024);
        assert_eq!(field(status, "VmRSS:"), 12 * 1024);
        assert_eq!(field(status, "VmSwap:"), 0);
    }
}
