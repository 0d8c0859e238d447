//! `portamento check` from outside: real hosts' limits, real servers, real rings, and what it says
//! of each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod generated;
mod host;
mod page;
mod ring;
mod server;
mod upstream;

use std::{
    net::IpAddr,
    process::{Command, Output},
};

use serde_json::Value;

use self::support::BINARY;

/// What a check has found.
struct Found {
    code: Option<i32>,
    report: Value,
}

impl Found {
    /// Runs `portamento check` with `args`; its environment has no `POD_IP`.
    fn by(args: &[&str]) -> Self {
        Self::of(command(args))
    }

    /// Runs a command that ends up as `portamento check`.
    fn of(mut command: Command) -> Self {
        let output = command.arg("--json").output().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        let found = Self {
            code: output.status.code(),
            report,
        };
        found.is_well_formed();
        found
    }

    /// The exit code, the worst level and every finding fit together, and are written down.
    fn is_well_formed(&self) {
        assert_eq!(self.report["schema_version"], 1);
        let levels = ["ok", "warning", "error"];
        let rank = |level: &Value| levels.iter().position(|known| level == known).unwrap();
        let findings = self.report["findings"].as_array().unwrap();
        let worst = findings.iter().map(|finding| rank(&finding["level"])).max();
        assert_eq!(rank(&self.report["worst"]), worst.unwrap());
        assert_eq!(self.code, Some(i32::from(worst == Some(2))));
        let page = include_str!("../../docs/CHECK.md");
        for finding in findings {
            let id = finding["id"].as_str().unwrap();
            assert!(
                page.contains(&format!("| `{id}` |")),
                "docs/CHECK.md has no row of {id}"
            );
            let message = finding["message"].as_str().unwrap();
            assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        }
    }

    /// The findings of an id: their levels and messages.
    fn all(&self, id: &str) -> Vec<(&str, &str)> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["id"] == id)
            .map(|finding| {
                let text = |key: &str| finding[key].as_str().unwrap();
                (text("level"), text("message"))
            })
            .collect()
    }

    /// There is one finding of this id, of this level, and it says all of this.
    #[track_caller]
    fn has(&self, id: &str, level: &str, words: &[&str]) {
        let all = self.all(id);
        let [(found, message)] = all[..] else {
            panic!("not one finding of {id}: {:#}", self.report);
        };
        assert_eq!(found, level, "{id}: {message}");
        for word in words {
            assert!(
                message.contains(word),
                "{id} does not say '{word}': {message}"
            );
        }
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("check").args(args).env_remove("POD_IP");
    command
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// An address of this host that others can reach, if it has one.
fn outer_address() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let mut addresses = interfaces.iter().map(if_addrs::Interface::ip);
    addresses.find(|ip| ip.is_ipv4() && !ip.is_loopback())
}
