//! `loadtest merge`, of runs that began at the same time, and of what does not go together.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use loadtest::report::{AnyReport, Report};
use support::{fits, loadtest, portamento_as, words};

fn overhead(path: &Path) -> Report {
    match AnyReport::read(path).unwrap() {
        AnyReport::Overhead(report) => *report,
        other => panic!("{other:?}"),
    }
}

/// Runs `overhead` into each of `files`, all beginning at once after `lead`; `None` when that was
/// too short. Returns when they began.
fn run_at_once(files: &[String], proxy: &str, lead: Duration) -> Option<String> {
    let start_at = humantime::format_rfc3339_millis(SystemTime::now() + lead).to_string();
    let args = [
        "overhead",
        "--duration",
        "2s",
        "--proxy",
        proxy,
        "--start-at",
        &start_at,
    ];
    let runs = files.iter().map(|json| {
        Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(args)
            .args(["--json", json])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let runs: Vec<_> = runs.collect(); // all started, before any is waited for
    let mut were_ready = true;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let (_, stderr) = words(&output);
        let was_late = stderr.contains("give it more time");
        assert!(output.status.success() || was_late, "{stderr}");
        were_ready &= !was_late;
    }
    were_ready.then_some(start_at)
}

#[test]
fn runs_that_begin_at_the_same_time_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let proxy = portamento_as("relay");
    let files = [file("a.json"), file("b.json")];
    // A busy machine takes longer to start stand-ins and proxies.
    let mut leads = [3, 10, 30].map(Duration::from_secs).into_iter();
    let start_at = leads.find_map(|lead| run_at_once(&files, &proxy, lead));
    let start_at = start_at.unwrap();
    let [json, html, csv, hdr] = ["m.json", "m.html", "m.csv", "m.hdr"].map(file);
    let output = loadtest(&[
        "merge", &files[0], &files[1], "--json", &json, "--html", &html, "--csv", &csv, "--hdr",
        &hdr,
    ]);
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("merged: ") && fits(&stdout), "{stdout}");
    assert!(!stdout.contains("at the same time"), "{stdout}");

    let [a, b] = files.each_ref().map(|file| overhead(Path::new(file)));
    let all = overhead(Path::new(&json));
    assert_eq!(all.rounds, a.rounds + b.rounds);
    assert_eq!(all.totals.requests, a.totals.requests + b.totals.requests);
    let count = |report: &Report| report.kinds[0].direct.latency.count();
    assert_eq!(count(&all), count(&a) + count(&b));
    assert_eq!(all.merged.len(), 2);
    let began = &start_at[..19];
    assert!(a.started_at.as_str() >= began && b.started_at.as_str() >= began);
    assert!(fs::read_to_string(&html).unwrap().contains("Merged: "));
    assert!(fs::read_to_string(&csv).unwrap().lines().count() > 50);
    assert!(
        fs::read_to_string(&hdr)
            .unwrap()
            .contains("Tag=health-check/relay,")
    );

    // The same report twice, and one that is none.
    let output = loadtest(&["merge", &files[0], &files[0]]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("are the same report"), "{stderr}");
    let output = loadtest(&["merge", &files[0], &html]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("m.html: not a report of loadtest"),
        "{stderr}"
    );
}

#[test]
fn mistakes_in_the_flags_exit_with_2() {
    for args in [
        &["merge"][..],
        &["merge", "one.json"],
        &["overhead", "--start-at", "soon"],
        &["overhead", "--start-at", "2020-01-01T00:00:00Z"],
    ] {
        let output = loadtest(args);
        let (_, stderr) = words(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr.is_empty(), "{args:?}");
    }
    let (_, stderr) = words(&loadtest(&["overhead", "--start-at", "1577836800"]));
    assert!(
        stderr.contains("--start-at 2020-01-01T00:00:00.000Z: it is past"),
        "{stderr}"
    );
}
