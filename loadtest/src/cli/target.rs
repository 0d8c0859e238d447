//! The flags that say what is measured, shared by the commands that measure.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;

use super::address::{self, Via, address};
use super::proxy::{self, ProxyCommand};

/// What is measured: a backend, directly and through proxies. Without flags, a backend and
/// portamento are started for the run.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[V6] is help for a terminal, no link"
)]
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Measure this backend instead of starting one: IP:PORT, [V6]:PORT or NAME:PORT
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub direct: Option<String>,

    /// A proxy that runs already in front of the backend given with --direct; repeatable [default:
    /// one is started]
    #[arg(long, value_name = "[NAME=]ADDR", requires = "direct", conflicts_with_all = ["portamento", "proxies"])]
    pub via: Vec<Via>,

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
        let mut names = HashSet::from(["direct".to_owned(), "null".to_owned()]);
        let mut vias = self.via_names().into_iter();
        match vias.find(|name| !names.insert(name.clone())) {
            None => proxy::distinct(&self.proxies),
            Some(name) => Err(format!(
                "--via: the name '{name}' is taken; give another as NAME=ADDR"
            )),
        }
    }

    /// The names of the proxies that run already.
    pub(crate) fn via_names(&self) -> Vec<String> {
        address::names(&self.via)
    }
}
