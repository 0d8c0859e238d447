//! What every exporter says of its process, by the names that Prometheus' own clients use.

use std::{fmt, fs, sync::LazyLock, time::SystemTime};

use procfs::{ProcResult, page_size, process::Process, ticks_per_second};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::family::Family;

/// The series of this process. Those that `/proc` does not tell are zero.
#[derive(Debug)]
pub(super) struct ProcessSeries;

#[derive(Default)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    start_seconds: f64,
}

/// When this machine booted, in seconds since 1970. Not from `/proc/stat`, which systemd's
/// `ProcSubset=pid` hides; and taken once, since a clock that is set must not look like a restart.
static BOOTED: LazyLock<f64> = LazyLock::new(|| {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let up = clock_gettime(ClockId::Boottime);
    now.as_secs_f64() - (up.tv_sec as f64 + up.tv_nsec as f64 / 1e9)
});

impl Usage {
    fn now() -> ProcResult<Self> {
        let stat = Process::myself()?.stat()?;
        let ticks = ticks_per_second() as f64;
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident_bytes: stat.rss * page_size(),
            virtual_bytes: stat.vsize,
            start_seconds: *BOOTED + stat.starttime as f64 / ticks,
        })
    }
}

impl Collector for ProcessSeries {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let usage = Usage::now().unwrap_or_default();
        let mut family = Family(encoder);
        family.counter("process_cpu_seconds_total", usage.cpu_seconds)?;
        family.gauge("process_resident_memory_bytes", usage.resident_bytes)?;
        family.gauge("process_virtual_memory_bytes", usage.virtual_bytes)?;
        family.gauge("process_open_fds", open_files())?;
        family.gauge(
            "process_max_fds",
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX >> 1),
        )?;
        family.gauge("process_start_time_seconds", usage.start_seconds)
    }
}

/// Since Linux 6.2 the size of the directory is their number; before, they have to be read.
fn open_files() -> u64 {
    match fs::metadata("/proc/self/fd").map(|directory| directory.len()) {
        Ok(count) if count > 0 => count,
        _ => fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
    }
}
