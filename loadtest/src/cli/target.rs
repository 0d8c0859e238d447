//! The flags that say what is measured, shared by the commands that measure.

use std::path::PathBuf;

use clap::Args;

use super::proxy::{self, ProxyCommand};

/// What is measured: a backend, directly and through proxies. Without flags, a backend and
/// portamento are started for the run.
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Measure this backend instead of starting one
    #[arg(long, value_name = "ADDR", requires = "via", conflicts_with_all = ["portamento", "proxies"])]
    pub direct: Option<String>,

    /// The proxy in front of the backend given with --direct
    #[arg(long, value_name = "ADDR", requires = "direct")]
    pub via: Option<String>,

    /// The portamento binary [default: built now when run by cargo, else beside this program, else
    /// in PATH]
    #[arg(long, value_name = "PATH", conflicts_with = "proxies")]
    pub portamento: Option<PathBuf>,

    /// Start this proxy instead of portamento, watch and stop it; repeatable. A shell command with
    /// {listen} and {upstream} (each IP:PORT), or {listen_port} and {upstream_port}
    #[arg(long = "proxy", value_name = "[NAME=]COMMAND")]
    pub proxies: Vec<ProxyCommand>,
}

impl TargetArgs {
    /// What is wrong with the flags together.
    pub(super) fn check(&self) -> Result<(), String> {
        proxy::distinct(&self.proxies)
    }
}
