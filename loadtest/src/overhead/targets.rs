//! What is measured: a backend, and a proxy in front of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cli::OverheadArgs;
use crate::process::{self, Guard, portamento, usage::Usage};

/// Two addresses, and the processes behind them where this run started them.
#[derive(Debug)]
pub(super) struct Targets {
    /// The backend itself.
    pub(super) direct: String,
    /// The proxy in front of it.
    pub(super) via: String,
    /// The proxy, when started here.
    pub(super) proxy: Option<Proxy>,
    /// The stand-in, when started here. Dropped after the proxy.
    standin: Option<Guard>,
}

/// A proxy started by this run.
#[derive(Debug)]
pub(super) struct Proxy {
    /// How it was started.
    pub(super) command: String,
    guard: Guard,
}

impl Targets {
    /// Those that the flags name, or else a stand-in and a proxy, started here.
    ///
    /// # Errors
    /// When one of them cannot be found or started.
    pub(super) fn new(args: &OverheadArgs) -> anyhow::Result<Self> {
        if let (Some(direct), Some(via)) = (&args.direct, &args.via) {
            return Ok(Self {
                direct: direct.clone(),
                via: via.clone(),
                proxy: None,
                standin: None,
            });
        }
        let launch = match &args.proxy {
            Some(template) => Launch::Shell(template.clone()),
            None => Launch::Portamento(portamento::find(args.portamento.as_deref())?),
        };
        let (standin, direct) = process::start_standin(args.seed)?;
        let (guard, via) =
            process::start_proxy("the proxy", |listen| launch.command(listen, direct))?;
        Ok(Self {
            direct: direct.to_string(),
            via: via.to_string(),
            proxy: Some(Proxy {
                command: launch.shown(via, direct),
                guard,
            }),
            standin: Some(standin),
        })
    }

    /// Whether the backend is a stand-in started here.
    pub(super) fn has_standin(&self) -> bool {
        self.standin.is_some()
    }

    /// Fails when a process that this run started has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let guards = self.proxy.as_mut().map(|proxy| &mut proxy.guard);
        guards
            .into_iter()
            .chain(&mut self.standin)
            .try_for_each(Guard::check)
    }
}

impl Proxy {
    /// What it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::read(self.guard.pid()).context("cannot read what the proxy uses")
    }
}

/// How a proxy is started.
#[derive(Debug)]
enum Launch {
    /// The binary at this path.
    Portamento(PathBuf),
    /// A shell command with `{listen}` and `{upstream}`.
    Shell(String),
}

impl Launch {
    fn command(&self, listen: SocketAddr, upstream: SocketAddr) -> Command {
        match self {
            Self::Portamento(binary) => {
                let mut command = Command::new(binary);
                command.arg("--listen").arg(listen.to_string());
                command.arg("--upstream").arg(upstream.to_string());
                command.args(["--admin", "127.0.0.1:0"]); // several run beside each other
                command
            }
            Self::Shell(_) => {
                let mut command = Command::new("sh");
                // The shell makes way for the proxy, which so becomes the guard's child.
                command.args(["-c", &format!("exec {}", self.shown(listen, upstream))]);
                command
            }
        }
    }

    fn shown(&self, listen: SocketAddr, upstream: SocketAddr) -> String {
        match self {
            Self::Portamento(_) => process::shown(&self.command(listen, upstream)),
            Self::Shell(template) => template
                .replace("{listen}", &listen.to_string())
                .replace("{upstream}", &upstream.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let launch = Launch::Shell("socat TCP-LISTEN:{listen} TCP:{upstream}".to_owned());
        let (listen, upstream) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        assert_eq!(
            process::shown(&launch.command(listen, upstream)),
            "sh -c exec socat TCP-LISTEN:127.0.0.1:1 TCP:127.0.0.1:2"
        );
    }
}
