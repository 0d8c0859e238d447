//! Processes of `loadtest`, and what they report.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;

use super::{is_valid, loadtest, words};

/// An origin that ends with the test.
pub(crate) struct Origin {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

impl Origin {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["origin", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let addr = line.trim_end().strip_prefix("listening on ").unwrap();
        Self {
            child,
            addr: addr.parse().unwrap(),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a command and reads its report.
pub(crate) fn measure<T: DeserializeOwned>(args: &[&str]) -> (Output, T) {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let json = std::env::temp_dir().join(format!("loadtest-{}-{run}.json", std::process::id()));
    let output = loadtest(&[args, &["--json", json.to_str().unwrap()]].concat());
    let report = std::fs::read(&json);
    let report = report.unwrap_or_else(|_| panic!("no report: {:?}", words(&output)));
    std::fs::remove_file(&json).unwrap();
    is_valid(&report);
    (output, serde_json::from_slice(&report).unwrap())
}
