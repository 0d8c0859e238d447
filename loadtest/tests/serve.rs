//! `loadtest serve` as a process.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use loadtest::{ClientConfig, QuerierClient, TraceId};

/// A child that ends with the test, however that ends.
struct Serve(Child);

impl Serve {
    fn start(args: &[&str]) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        (Self(child), addr)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn the_ready_line_tells_where_it_answers() {
    let (_serve, addr) = Serve::start(&[]);
    let client = QuerierClient::connect(ClientConfig::new(addr))
        .await
        .unwrap();
    client.check_health().await.unwrap();
}

#[tokio::test]
async fn the_seed_changes_the_answers() {
    let mut answers = Vec::new();
    for seed in ["1", "1", "2"] {
        let (_serve, addr) = Serve::start(&["--seed", seed]);
        let client = QuerierClient::connect(ClientConfig::new(addr))
            .await
            .unwrap();
        answers.push(client.find_trace(TraceId::sized(3_000, 1)).await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}

#[test]
fn it_ends_with_its_standard_input() {
    let (mut serve, _) = Serve::start(&["--end-with-stdin"]);
    drop(serve.0.stdin.take());
    assert!(serve.0.wait().unwrap().success());
}

#[test]
fn an_address_that_cannot_be_bound_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "serve",
            "--listen",
            &taken.local_addr().unwrap().to_string(),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("Error: cannot listen on 127.0.0.1:"),
        "{stderr}"
    );
}
