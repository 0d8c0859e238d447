//! Where a run was made, as far as it matters for its figures.

use std::fs;
use std::thread;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine and the build. What cannot be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Version of loadtest.
    pub version: String,
    /// Whether loadtest was built without optimisation.
    pub debug_build: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// TCP congestion control of new sockets.
    pub congestion_control: String,
}

impl Environment {
    /// Reads it.
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            debug_build: cfg!(debug_assertions),
            kernel: line("/proc/sys/kernel/osrelease"),
            cpu: model
                .and_then(|line| line.split_once(": "))
                .map_or("", |(_, m)| m)
                .to_owned(),
            cpus: thread::available_parallelism().map_or(0, usize::from),
            congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control"),
        }
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linux_machine_tells_about_itself() {
        let environment = Environment::read();
        assert!(environment.cpus > 0);
        assert!(!environment.kernel.is_empty() && !environment.kernel.contains('\n'));
    }
}
