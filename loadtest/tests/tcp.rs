//! The commands over plain TCP as processes, through relays that do their work and some that do
//! not.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::process::Output;

use loadtest::report::{Measured, Row};
use support::{Origin, fits, loadtest, portamento_as, relay, words};

fn measure(args: &[&str]) -> (Output, Measured) {
    support::measure(args)
}

fn is_good(output: &Output, report: &Measured) {
    let (stdout, stderr) = words(output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(fits(&stdout) && stdout.contains("all correct"), "{stdout}");
    assert_eq!(report.schema_version, 3);
    assert!(report.is_clean());
}

/// A figure of one that this run started: with CPU, switches and a ratio for each round.
fn is_watched(row: &Row, rounds: usize) {
    assert_eq!((row.rounds, row.errors), (rounds, 0), "{row:?}");
    assert!(row.rate.as_ref().unwrap().median > 0.0, "{row:?}");
    assert!(row.machine_cpu_s.is_some() && row.cpu_s.is_some() && row.switches.is_some());
    let ratio = row.against("direct", "rate").unwrap();
    assert_eq!((ratio.rounds, ratio.low.is_some()), (rounds, rounds >= 6));
}

#[test]
fn throughput_goes_each_way_and_every_proxy_is_watched() {
    let (one, other) = (portamento_as("one"), portamento_as("other"));
    let (output, report) = measure(&[
        "throughput",
        "--streams",
        "1,3",
        "--rounds",
        "6",
        "--duration",
        "4s",
        "--proxy",
        &one,
        "--proxy",
        &other,
    ]);
    is_good(&output, &report);
    let names: Vec<&str> = report
        .scenarios
        .iter()
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "down, 1 stream",
            "down, 3 streams",
            "up, 1 stream",
            "up, 3 streams",
            "both ways, 1 stream",
            "both ways, 3 streams"
        ]
    );
    for scenario in &report.scenarios {
        let [direct, one, other] = scenario.rows.as_slice() else {
            panic!("{scenario:?}");
        };
        assert_eq!(
            [&direct.target, &one.target, &other.target],
            ["direct", "one", "other"]
        );
        assert!(direct.bytes > 0 && direct.cpu_s.is_none() && direct.comparisons.is_empty());
        for row in [one, other] {
            is_watched(row, 6);
            assert_eq!(
                row.syscalls.is_none(),
                report.syscalls_unavailable.is_some()
            );
        }
    }
}

#[test]
fn latency_has_a_scenario_for_each_size() {
    let proxy = portamento_as("relay");
    let (output, report) = measure(&[
        "latency",
        "--sizes",
        "64,1MiB",
        "--connections",
        "3",
        "--depth",
        "4",
        "--rounds",
        "2",
        "--duration",
        "1s",
        "--proxy",
        &proxy,
    ]);
    is_good(&output, &report);
    let names: Vec<&str> = report
        .scenarios
        .iter()
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "64 B, 3 connections, 4 in flight",
            "1 MiB, 3 connections, 4 in flight"
        ]
    );
    for row in report.scenarios.iter().flat_map(|scenario| &scenario.rows) {
        let latency = &row.latency;
        assert!(row.operations > 0 && latency.p50_ns > Some(0));
        assert!(latency.p50_ns <= latency.p99_ns && latency.p99_ns <= latency.max_ns);
    }
    is_watched(&report.scenarios[0].rows[1], 2);
    let (stdout, _) = words(&output);
    assert!(stdout.contains("fewer than 6 rounds"), "{stdout}");
}

#[test]
fn connections_are_short_and_idle() {
    let proxy = portamento_as("relay");
    let (output, report) = measure(&[
        "connections",
        "--concurrency",
        "4",
        "--idle",
        "100",
        "--rounds",
        "2",
        "--duration",
        "1s",
        "--proxy",
        &proxy,
    ]);
    is_good(&output, &report);
    is_watched(&report.scenarios[0].rows[1], 2);
    let [direct, proxied] = report.scenarios[1].rows.as_slice() else {
        panic!("{:?}", report.scenarios[1]);
    };
    assert_eq!(direct.idle, None);
    let idle = proxied.idle.as_ref().unwrap();
    assert_eq!(idle.connections, 100);
    assert_eq!(idle.fds.as_ref().unwrap().median, 2.0); // one to each side
    assert!(idle.used_bytes.median >= idle.untouched_bytes.median);
}

#[test]
fn a_backend_and_a_proxy_that_run_already_are_measured() {
    let origin = Origin::start();
    let via = relay(origin.addr, |_| ());
    let (direct, via) = (origin.addr.to_string(), via.to_string());
    let (output, report) = measure(&[
        "latency",
        "--sizes",
        "200",
        "--rounds",
        "2",
        "--duration",
        "200ms",
        "--direct",
        &direct,
        "--via",
        &via,
    ]);
    is_good(&output, &report);
    assert_eq!(report.backend, "given");
    let via = &report.scenarios[0].rows[1];
    assert!(via.target == "via" && via.operations > 0 && via.cpu_s.is_none());
}

/// Flips a bit in the middle of long pieces, so that orders stay whole.
fn flip(bytes: &mut [u8]) {
    if bytes.len() > 1_000 {
        bytes[bytes.len() / 2] ^= 1;
    }
}

#[test]
fn a_flipped_byte_fails_the_run_and_is_located() {
    let origin = Origin::start();
    let via = relay(origin.addr, flip).to_string();
    let direct = origin.addr.to_string();
    for command in [
        &["throughput", "--direction", "down", "--streams", "1"][..],
        &["latency", "--sizes", "10000"],
        &["connections", "--idle", "0", "--response", "10000"],
    ] {
        let common = [
            "--direct",
            &direct,
            "--via",
            &via,
            "--rounds",
            "2",
            "--duration",
            "300ms",
        ];
        let (output, report) = measure(&[command, &common].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let [direct, via] = report.scenarios[0].rows.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((direct.errors, via.errors), (0, 2), "{command:?}");
        let failure = via.failure.as_ref().unwrap();
        assert!(failure.contains("to the client: byte "), "{failure}");
        let (stdout, _) = words(&output);
        assert!(stdout.contains("failed: via, 2 turns: "), "{stdout}");
    }
}

#[test]
fn another_server_than_an_origin_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().for_each(drop)); // closes at once
    let output = loadtest(&[
        "latency",
        "--direct",
        &addr,
        "--via",
        &addr,
        "--sizes",
        "64",
        "--duration",
        "1s",
    ]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("Error: the backend itself fails"),
        "{stderr}"
    );
}

#[test]
fn mistakes_in_the_flags_exit_with_2() {
    for args in [
        &["throughput", "--streams", "0"][..],
        &["throughput", "--streams", "1,65"],
        &["throughput", "--direction", "sideways"],
        &["throughput", "--rounds", "0"],
        &["latency", "--sizes", "7"],
        &["latency", "--sizes", "64kb"],
        &["latency", "--depth", "0"],
        &["connections", "--idle", "20001"],
        &["connections", "--direct", "127.0.0.1"],
        &["connections", "--proxy", "direct=x {listen} {upstream}"],
        &["throughput", "--fail-if", "rate-ratio<fast"],
        &["latency", "--fail-if", "p99-added>1ms"],
        &["origin", "--listen", "nowhere"],
    ] {
        let output = loadtest(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn a_duration_that_is_too_short_for_its_turns_is_an_error() {
    let proxy = portamento_as("relay");
    let output = loadtest(&["throughput", "--duration", "100ms", "--proxy", &proxy]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("Error: --duration 100ms: 120 turns"),
        "{stderr}"
    );
}

#[test]
fn a_condition_that_holds_fails_the_run_and_one_about_nothing_does_before_it() {
    let proxy = portamento_as("relay");
    let run = |condition: &str| {
        let args = [
            "latency",
            "--sizes",
            "64",
            "--duration",
            "2s",
            "--rounds",
            "6",
        ];
        let more = ["--proxy", &proxy, "--fail-if", condition];
        let output = loadtest(&[args.as_slice(), &more].concat());
        let (stdout, stderr) = words(&output);
        (output.status.code(), stdout + &stderr)
    };
    let (code, text) = run("64 B:rate-ratio<1000");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("failed: --fail-if '64 B:rate-ratio<1000': 64 B, relay: "),
        "{text}"
    );
    let (code, text) = run("p99-ratio>1000000");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run("1 MiB:rate-ratio<1000");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("there is no '1 MiB' in this run; there are 64 B"),
        "{text}"
    );
}
