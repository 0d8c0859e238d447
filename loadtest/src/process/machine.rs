//! What the whole machine has used so far.

use std::fs;
use std::time::Duration;

/// CPU time of all processes and of the kernel, all CPUs together, to 10 ms. Waiting and time
/// taken by other virtual machines do not count. Zero where it cannot be read.
pub(crate) fn busy() -> Duration {
    sum(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// CPU time taken from this machine by the ones beside it on the same hardware, to 10 ms.
pub(crate) fn stolen() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    Duration::from_millis(ticks(&stat).get(STEAL).copied().unwrap_or(0) * 10)
}

const STEAL: usize = 7;

fn sum(stat: &str) -> Duration {
    // user nice system idle iowait irq softirq
    let busy = [0, 1, 2, 5, 6];
    let ticks = ticks(stat);
    let sum: u64 = busy.iter().filter_map(|&place| ticks.get(place)).sum();
    Duration::from_millis(sum * 10)
}

fn ticks(stat: &str) -> Vec<u64> {
    let line = stat.lines().next().unwrap_or_default();
    line.split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_does_not_count() {
        let stat = "cpu  100 1 20 9999 77 3 4 50 0 0\ncpu0 1 2 3\n";
        assert_eq!(sum(stat), Duration::from_millis(1_280));
        assert_eq!(sum(""), Duration::ZERO);
        assert_eq!(ticks(stat)[STEAL], 50);
    }

    #[test]
    fn this_machine_has_done_something() {
        assert!(busy() > Duration::ZERO);
    }
}
