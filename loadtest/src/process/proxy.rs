//! A proxy that this run started, watches and stops.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use super::Guard;
use super::usage::Usage;
use crate::cli::ProxyCommand;

/// A running proxy. Dropping it ends it, its children, and its configuration file.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// How it was started, placeholders filled.
    pub(crate) command: String,
    /// What its configuration file holds, placeholders filled.
    pub(crate) config: Option<String>,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Dropped before the folder, which it may still use.
    guard: Guard,
    _folder: Option<TempDir>,
}

impl Proxy {
    /// Starts `proxy` in front of `upstream` and returns when it accepts.
    ///
    /// # Errors
    /// When it does not start, or does not accept within 10 s; its last words are in the error.
    pub(crate) fn start(proxy: &ProxyCommand, upstream: &str) -> anyhow::Result<Self> {
        let folder = proxy
            .config
            .as_ref()
            .map(|_| TempDir::with_prefix("loadtest-"))
            .transpose()
            .context("cannot make a folder for a configuration")?;
        // Named so because one proxy goes by the ending; to the others it is all the same.
        let file = folder
            .as_ref()
            .map(|folder| folder.path().join("config.yaml"));
        let fill = |text: &str, listen| filled(text, listen, upstream, file.as_deref());
        let (guard, addr) = super::start_proxy(&proxy.name, |listen| {
            if let (Some(file), Some(config)) = (&file, &proxy.config) {
                fs::write(file, fill(config, listen))?;
            }
            Ok(shell(&fill(&proxy.template, listen)))
        })?;
        Ok(Self {
            command: fill(&proxy.template, addr),
            config: proxy.config.as_ref().map(|config| fill(config, addr)),
            addr,
            guard,
            _folder: folder,
        })
    }

    /// What it and its children have used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::read(self.pid()).context("cannot read what the proxy uses")
    }

    /// Its process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.guard.check()
    }
}

/// The shell makes way for the proxy, which so becomes the guard's child. What the proxy writes to
/// stdout joins its last words, and stays out of the report.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 1>&2; exec {command}")]);
    shell.stdin(Stdio::null());
    shell
}

fn filled(text: &str, listen: SocketAddr, upstream: &str, config: Option<&Path>) -> String {
    let upstream_port = upstream.rsplit(':').next().unwrap_or_default();
    let folder = config.and_then(Path::parent);
    let path = |path: Option<&Path>| path.map_or_else(String::new, |p| p.display().to_string());
    text.replace("{listen}", &listen.to_string())
        .replace("{listen_port}", &listen.port().to_string())
        .replace("{upstream}", upstream)
        .replace("{upstream_port}", upstream_port)
        .replace("{config}", &path(config))
        .replace("{folder}", &path(folder))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::process::{in_path, skip};

    #[test]
    fn placeholders_are_filled() {
        let listen = ([127, 0, 0, 1], 1).into();
        let fill = |text| filled(text, listen, "host:2", Some(Path::new("/t/config")));
        assert_eq!(fill("{listen} {upstream}"), "127.0.0.1:1 host:2");
        assert_eq!(fill("{listen_port} {upstream_port}"), "1 2");
        assert_eq!(fill("-c {config} -p {folder}"), "-c /t/config -p /t");
    }

    #[test]
    fn a_configuration_is_written_and_removed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = ProxyCommand {
            name: "keeper".to_owned(),
            // Only a file that can be read lets it listen.
            template: "python3 {config}".to_owned(),
            config: Some(
                "import socket; s = socket.create_server(('127.0.0.1', {listen_port}))\n\
                 while True: s.accept() # before {upstream}"
                    .to_owned(),
            ),
        };
        if in_path("python3").is_none() {
            return skip("python3 is not installed");
        }
        let upstream = listener.local_addr().unwrap().to_string();
        let mut running = Proxy::start(&proxy, &upstream).unwrap();
        running.check().unwrap();
        assert!(running.config.as_ref().unwrap().ends_with(&upstream));
        let file = running.command.strip_prefix("python3 ").unwrap().to_owned();
        assert!(Path::new(&file).is_file());
        drop(running);
        assert!(!Path::new(&file).exists());
    }
}
