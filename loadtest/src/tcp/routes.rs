//! The backend of a run over plain TCP, and the ways to it.

use std::net::SocketAddr;

use crate::cli::TargetArgs;
use crate::process::target::{Route, Target};
use crate::process::{self, Guard};

/// An origin, started here or given.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Where it listens.
    pub(crate) addr: String,
    guard: Option<Guard>,
}

impl Backend {
    /// The one that the flags name, or else one started here.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn new(args: &TargetArgs) -> anyhow::Result<Self> {
        if let Some(addr) = &args.direct {
            return Ok(Self {
                addr: addr.clone(),
                guard: None,
            });
        }
        let (guard, addr): (Guard, SocketAddr) = process::start_origin()?;
        Ok(Self {
            addr: addr.to_string(),
            guard: Some(guard),
        })
    }

    /// Its process, when started here.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.guard.as_ref().map(Guard::pid)
    }

    /// As reports name it.
    pub(crate) fn name(&self) -> &'static str {
        match self.guard {
            Some(_) => "origin",
            None => "given",
        }
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.guard.as_mut().map_or(Ok(()), Guard::check)
    }
}

/// All ways of a run, in use. Dropped, they end before the backend.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Direct first.
    pub(crate) routes: Vec<Route>,
    /// What the routes were opened from, in the same order.
    pub(crate) targets: Vec<Target>,
    /// What is behind them.
    pub(crate) backend: Backend,
}

impl Routes {
    /// Starts what the flags ask for.
    ///
    /// # Errors
    /// When something cannot be found or started.
    pub(crate) fn open(args: &TargetArgs) -> anyhow::Result<Self> {
        let proxies = Target::proxies(args)?;
        let backend = Backend::new(args)?;
        let targets: Vec<_> = [Target::Direct].into_iter().chain(proxies).collect();
        let routes = targets.iter().map(|target| target.open(&backend.addr));
        Ok(Self {
            routes: routes.collect::<anyhow::Result<_>>()?,
            targets,
            backend,
        })
    }

    /// Fails when a process that this run started has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.routes.iter_mut().try_for_each(Route::check)?;
        self.backend.check()
    }
}
