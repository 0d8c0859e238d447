//! What the tests of the commands share.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]
#![allow(dead_code, unused_imports, reason = "each test uses some of it")]

mod delay;
pub(crate) mod live_store;
mod origin;
mod relay;
mod schema;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use self::delay::delaying_relay;
pub(crate) use self::origin::{Origin, measure};
pub(crate) use self::relay::{crooked_relay, relay};
pub(crate) use self::schema::{SCHEMA, is_valid};

/// Runs `loadtest` with `args`, to its end.
pub(crate) fn loadtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(args)
        .output()
        .unwrap()
}

/// What a run wrote to stdout, and to stderr.
pub(crate) fn words(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// The portamento beside `loadtest`, built first so that it is this workspace's.
pub(crate) fn portamento() -> PathBuf {
    let loadtest = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let folder = loadtest.parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let status = Command::new(std::env::var_os("CARGO").unwrap())
        .args(["build", "--quiet", "--package", "portamento"])
        .args(["--bin", "portamento", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status();
    assert!(status.unwrap().success());
    folder.join("portamento")
}

/// `--proxy` with portamento under another name.
pub(crate) fn portamento_as(name: &str) -> String {
    let binary = portamento();
    format!(
        "{name}={} --listen {{listen}} --upstream {{upstream}} --admin off",
        binary.display()
    )
}

/// Says why a test proves nothing here: past what keeps the words of a test that passes to itself.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a thread");
    let line = format!("skipped: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).ok(); // as one, whatever others write meanwhile
}

/// Whether no line is wider than a terminal.
pub(crate) fn fits(text: &str) -> bool {
    text.lines().all(|line| line.chars().count() <= 100)
}
