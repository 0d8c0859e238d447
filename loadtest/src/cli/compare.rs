//! The flags of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::{HdrArgs, OutputArgs};
use super::proxy::{ProxyCommand, distinct};
use super::tcp::threads;
use super::value::{count, duration};
use crate::fail_if::{Condition, MEASURED};

/// Flags of `compare`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[SCENARIO:] is help for a terminal, no link"
)]
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// About 3 minutes in 7 rounds, instead of 20 minutes in 15
    #[arg(long)]
    pub quick: bool,

    /// How long it may take in all, as 10m [default: 20m, 3m with --quick]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Rounds [default: 15, 7 with --quick]. Below 6 there is no interval
    #[arg(long, value_name = "NUM", value_parser = count::<1_000>)]
    pub rounds: Option<usize>,

    /// The portamento binary [default: built now when run by cargo, else beside this program, else
    /// in PATH]
    #[arg(long, value_name = "PATH")]
    pub portamento: Option<PathBuf>,

    /// Compare this proxy as well; repeatable. A shell command with {listen} and {upstream} (each
    /// IP:PORT), or {listen_port} and {upstream_port}
    #[arg(long = "proxy", value_name = "[NAME=]COMMAND")]
    pub proxies: Vec<ProxyCommand>,

    /// Threads of the client at most [default: one for each CPU, at most 8]
    #[arg(long, value_name = "NUM", value_parser = count::<64>, default_value_t = threads(), hide_default_value = true)]
    pub threads: usize,

    /// Fail with exit code 1 when this holds, as 'rate-ratio<0.9' or '64 B:p99-ratio>3'; repeatable
    ///
    /// [SCENARIO:]FIGURE, one of > >= < <=, and a number. rate-ratio, p50-ratio, p99-ratio: of
    /// portamento against direct; it counts only when all of its 95 % interval is beyond the number. errors: rounds
    /// that failed. Without SCENARIO, it holds when it holds for any; a figure that could not be
    /// measured, as with fewer than 6 rounds, fails as well.
    #[arg(long = "fail-if", value_name = "EXPR")]
    pub fail_if: Vec<Condition>,

    /// Where else the report goes.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}

impl CompareArgs {
    /// How long it may take in all.
    pub fn duration(&self) -> Duration {
        let minutes = if self.quick { 3 } else { 20 };
        let default = Duration::from_secs(minutes * 60);
        self.duration.unwrap_or(default)
    }

    /// Rounds.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 7 } else { 15 })
    }

    /// What is wrong with the flags together.
    pub(super) fn check(&self) -> Result<(), String> {
        const TAKEN: [&str; 8] = [
            "portamento",
            "portamento-again",
            "haproxy-copy",
            "haproxy-splice",
            "nginx",
            "envoy",
            "socat",
            "realm",
        ];
        let mut conditions = self.fail_if.iter();
        conditions.try_for_each(|condition| condition.check(MEASURED, &[]))?;
        let mut names = self.proxies.iter().map(|proxy| proxy.name.as_str());
        match names.find(|name| TAKEN.contains(name)) {
            Some(name) => Err(format!(
                "--proxy: '{name}' is compared by itself; give another name"
            )),
            None => distinct(&self.proxies),
        }
    }
}
