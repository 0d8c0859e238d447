//! What is measured: a backend, and the proxies in front of it.

use super::advice::Used;
use crate::cli::OverheadArgs;
use crate::process::machine;
use crate::process::target::{Route, Target};
use crate::process::usage::Usage;
use crate::process::{self, Guard};

/// A backend and the ways to it through proxies, with the processes that this run started.
#[derive(Debug)]
pub(super) struct Targets {
    /// The backend itself.
    pub(super) direct: String,
    /// The ways through proxies.
    pub(super) through: Vec<Route>,
    /// The stand-in, when started here. Dropped after the proxies.
    standin: Option<Guard>,
}

impl Targets {
    /// Those that the flags name, or else a stand-in and a proxy, started here.
    ///
    /// # Errors
    /// When one of them cannot be found or started.
    pub(super) fn new(args: &OverheadArgs) -> anyhow::Result<Self> {
        let proxies = Target::proxies(&args.targets)?;
        let (standin, direct) = match &args.targets.direct {
            Some(direct) => (None, direct.clone()),
            None => {
                let (standin, direct) = process::start_standin(args.seed)?;
                (Some(standin), direct.to_string())
            }
        };
        let through = proxies.iter().map(|proxy| proxy.open(&direct));
        Ok(Self {
            through: through.collect::<anyhow::Result<_>>()?,
            direct,
            standin,
        })
    }

    /// Whether the backend is a stand-in started here.
    pub(super) fn has_standin(&self) -> bool {
        self.standin.is_some()
    }

    /// The proxies' names.
    pub(super) fn proxies(&self) -> Vec<String> {
        self.through
            .iter()
            .map(|route| route.name.clone())
            .collect()
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// When a process that this run started has ended.
    pub(super) fn used(&self) -> anyhow::Result<Used> {
        let client = Usage::of_one(std::process::id())?.cpu;
        let mut known = match &self.standin {
            Some(standin) => Some(client + Usage::of_one(standin.pid())?.cpu),
            None => None,
        };
        for route in &self.through {
            let proxy = route.usage()?;
            known = known.zip(proxy).map(|(known, proxy)| known + proxy.cpu);
        }
        Ok(Used {
            machine: machine::busy(),
            client,
            known,
        })
    }

    /// Fails when a process that this run started has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.through.iter_mut().try_for_each(Route::check)?;
        self.standin.as_mut().map_or(Ok(()), Guard::check)
    }
}
