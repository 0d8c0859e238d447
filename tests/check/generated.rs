use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::support::{BINARY, installed};

/// Every long flag, of the forwarder and of check.
fn flags() -> Vec<String> {
    let help = |args: &[&str]| stdout(args);
    let mut flags: Vec<_> = (help(&["--help"]) + &help(&["check", "--help"]))
        .lines()
        .filter_map(|line| {
            let start = line
                .trim_start()
                .strip_prefix("-")
                .map(|_| line.find("--"))??;
            let name: String = line[start..]
                .chars()
                .take_while(|c| !c.is_whitespace())
                .collect();
            Some(name)
        })
        .collect();
    flags.sort();
    flags.dedup();
    assert!(flags.len() > 30, "{flags:?}");
    for known in [
        "--listen",
        "--access-log",
        "--ring",
        "--instance-addr",
        "--json",
        "--help",
    ] {
        assert!(flags.iter().any(|flag| flag == known), "{known}: {flags:?}");
    }
    flags
}

fn stdout(args: &[&str]) -> String {
    let output = Command::new(BINARY).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    assert!(output.stderr.is_empty(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_every_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&["completions", shell]);
        for flag in flags() {
            // fish has the name alone: -l listen
            let name = flag.trim_start_matches('-');
            let known = script.contains(&flag) || script.contains(&format!("-l {name}"));
            assert!(known, "{shell} does not know {flag}");
        }
        assert!(script.contains("check"), "{shell}");
    }
}

#[test]
fn shells_accept_their_completions() {
    for (shell, flags) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = stdout(&["completions", shell]);
        if installed(shell) {
            let (accepted, said) = feed(Command::new(shell).arg(flags), &script);
            assert!(accepted && said.is_empty(), "{shell}: {said}");
        }
    }
}

#[test]
fn the_manual_page_knows_every_flag_and_variable() {
    let page = stdout(&["man"]).replace("\\-", "-");
    for flag in flags() {
        assert!(page.contains(&flag), "{flag}");
        let variable = format!("PORTAMENTO_{}", flag[2..].to_uppercase().replace('-', "_"));
        if !["--help", "--version"].contains(&flag.as_str()) {
            assert!(page.contains(&variable), "{variable}");
        }
    }
    for word in [
        "EXIT STATUS",
        "SIGNALS",
        "PORTAMENTO CHECK",
        "PORTAMENTO COMPLETIONS",
        "PORTAMENTO MAN",
    ] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn groff_finds_no_fault_with_the_manual_page() {
    if !installed("groff") {
        return;
    }
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww", "-z"]);
    let (accepted, said) = feed(&mut groff, &stdout(&["man"]));
    assert!(accepted && said.is_empty(), "{said}");
}

/// Whether a program takes `text` on its standard input, and what it says.
fn feed(command: &mut Command, text: &str) -> (bool, String) {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_reader_that_is_gone_is_an_error_and_no_panic() {
    let mut child = Command::new(BINARY)
        .arg("man")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert!([Some(0), Some(1)].contains(&output.status.code()), "{said}");
}
