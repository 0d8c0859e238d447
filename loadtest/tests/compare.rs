//! `loadtest compare` as a process, with the peers that are there and with one that is broken.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use loadtest::report::{Measured, Scenario};
use support::{fits, loadtest, measure, portamento, portamento_as, words};

const SCENARIOS: [&str; 11] = [
    "500 idle connections",
    "64 B",
    "16 KiB",
    "200 B -> 64 KiB",
    "200 B -> 4 MiB",
    "down, 1 stream",
    "down, 8 streams",
    "up, 1 stream",
    "up, 8 streams",
    "short connections, 32 at a time",
    "a querier's calls",
];

fn has_every_figure(scenario: &Scenario, target: &str) {
    let row = scenario
        .rows
        .iter()
        .find(|row| row.target == target)
        .unwrap();
    assert_eq!(row.errors, 0, "{}: {row:?}", scenario.name);
    if scenario.unit == "idle connection" {
        return assert_eq!(row.idle.is_none(), target == "direct");
    }
    assert_eq!(row.rounds, 1, "{}: {row:?}", scenario.name);
    assert!(row.rate.is_some() && row.machine_cpu_s.is_some(), "{row:?}");
    assert_eq!(row.cpu_s.is_none(), target == "direct", "{row:?}");
    assert_eq!(
        row.against("portamento", "rate").is_none(),
        target == "portamento"
    );
}

/// Whether the machine gave somebody too little of itself in a turn for a single byte to come through.
fn starved(report: &Measured) -> bool {
    let mut rows = report.scenarios.iter().flat_map(|scenario| &scenario.rows);
    rows.any(|row| row.failure.as_deref() == Some("nothing came through"))
}

#[test]
fn every_peer_that_is_installed_comes_through_every_scenario() {
    let (binary, extra) = (portamento(), portamento_as("extra"));
    let run = |duration| -> (_, Measured) {
        measure(&[
            "compare",
            "--rounds",
            "1",
            "--duration",
            duration,
            "--portamento",
            binary.to_str().unwrap(),
            "--proxy",
            &extra,
        ])
    };
    let (mut output, mut report) = run("25s");
    if starved(&report) {
        (output, report) = run("75s"); // turns are short, and the machine may be busy with others
    }
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(fits(&stdout), "{stdout}");

    let names: Vec<&str> = report
        .scenarios
        .iter()
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!(names, SCENARIOS);
    for target in &report.targets {
        match &target.missing {
            Some(why) => {
                let told = format!("{}: not measured, {why}", target.name);
                assert!(stdout.contains(&told), "{told}\n{stdout}");
            }
            None => report
                .scenarios
                .iter()
                .for_each(|scenario| has_every_figure(scenario, &target.name)),
        }
    }
    let haproxy = report
        .targets
        .iter()
        .find(|target| target.name == "haproxy-splice");
    let config = haproxy.unwrap().config.as_ref().unwrap();
    assert!(config.contains("tune.pipesize 1048576"), "{config}");
    let control = report.control.unwrap();
    assert_eq!(
        (control.base.as_str(), control.ratio.rounds),
        ("portamento", 1)
    );
    assert!(
        stdout.contains("control: portamento against itself"),
        "{stdout}"
    );
}

#[test]
fn a_peer_that_fails_is_told_and_hinders_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("haproxy");
    fs::write(
        &broken,
        "#!/bin/sh\necho 1.0; echo 'no such setting' >&2; exit 3\n",
    )
    .unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let json = folder.path().join("report.json");
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "compare",
            "--rounds",
            "1",
            "--duration",
            "25s",
            "--portamento",
        ])
        .arg(portamento())
        .arg("--json")
        .arg(&json)
        .env("PATH", path)
        .output()
        .unwrap();
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(fits(&stdout), "{stdout}");
    let told =
        "failed: haproxy-copy, 1 turn: haproxy-copy ended (exit status: 3): 1.0 no such setting";
    assert!(stdout.contains(told), "{stdout}");
    assert!(
        stdout.contains("failed: haproxy-copy, as above"),
        "{stdout}"
    );
    let report: Measured = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    for scenario in &report.scenarios {
        has_every_figure(scenario, "direct");
        has_every_figure(scenario, "portamento");
        let broken = scenario
            .rows
            .iter()
            .find(|row| row.target == "haproxy-copy");
        assert_eq!(broken.unwrap().errors, 1);
    }
}

#[test]
fn mistakes_in_the_flags_exit_with_2() {
    for args in [
        &["--rounds", "0"][..],
        &["--duration", "soon"],
        &["--proxy", "nginx=x {listen} {upstream}"],
        &[
            "--proxy",
            "a=x {listen} {upstream}",
            "--proxy",
            "a=y {listen} {upstream}",
        ],
        &["--direct", "127.0.0.1:1"],
    ] {
        let output = loadtest(&[&["compare"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn a_duration_that_is_too_short_is_an_error() {
    let binary = portamento();
    let output = loadtest(&[
        "compare",
        "--duration",
        "5s",
        "--portamento",
        binary.to_str().unwrap(),
    ]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("Error: --duration: "), "{stderr}");
}
