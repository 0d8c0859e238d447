//! Tables of made-up reports, as they print.

use super::*;
use crate::report::{
    Comparison, Distribution, Environment, Idle, SCHEMA_VERSION, TargetDescription,
};

fn estimate(median: f64) -> Option<Estimate> {
    Some(Estimate {
        median,
        low: Some(median * 0.98),
        high: Some(median * 1.02),
        rounds: 10,
        ..Estimate::default()
    })
}

fn row(target: &str, is_direct: bool) -> Row {
    let compared = |metric: &str, ratio| Comparison {
        base: "direct".to_owned(),
        metric: metric.to_owned(),
        ratio: estimate(ratio).unwrap(),
    };
    Row {
        target: target.to_owned(),
        rounds: 10,
        bytes: 5 << 30,
        operations: 12_345,
        rate: estimate(2.345),
        latency: Distribution {
            p50_ns: Some(23_400),
            p90_ns: Some(45_600),
            p99_ns: Some(1_234_000),
            p999_ns: Some(12_340_000),
            max_ns: Some(212_340_000),
            ..Distribution::default()
        },
        cpu_s: estimate(0.000_012).filter(|_| !is_direct),
        machine_cpu_s: estimate(0.000_123),
        switches: estimate(2.01).filter(|_| !is_direct),
        syscalls: Some(4.02).filter(|_| !is_direct),
        idle: Some(Idle {
            connections: 1_000,
            untouched_bytes: estimate(1_716.0).unwrap(),
            used_bytes: estimate(66_778.0).unwrap(),
            fds: estimate(2.0),
        })
        .filter(|_| !is_direct),
        comparisons: match is_direct {
            true => Vec::new(),
            false => vec![compared("rate", 0.51), compared("p50_ns", 1.93)],
        },
        ..Row::default()
    }
}

pub(crate) fn report() -> Measured {
    let scenario = |name: &str, unit: &str| Scenario {
        name: name.to_owned(),
        unit: unit.to_owned(),
        rows: vec![row("direct", true), row("sixteen-letters-", false)],
    };
    let target = |name: &str| TargetDescription {
        name: name.to_owned(),
        command: Some("relay --listen 127.0.0.1:2 --upstream 127.0.0.1:1".to_owned()),
        ..TargetDescription::default()
    };
    Measured {
        schema_version: SCHEMA_VERSION,
        kind: "connections".to_owned(),
        command: Vec::new(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        took_s: 31.2,
        environment: Environment::default(),
        rounds: 10,
        slice_s: 0.25,
        client_threads: 2,
        backend: "origin".to_owned(),
        targets: vec![target("direct"), target("sixteen-letters-")],
        scenarios: vec![
            scenario("both ways, 64 streams", "GiB"),
            scenario("short connections, 32 at a time", "connection"),
            scenario("1000 idle connections", "idle connection"),
        ],
        control: None,
        syscalls_unavailable: None,
        warnings: Vec::new(),
        failed_if: Vec::new(),
        merged: Vec::new(),
    }
}

#[test]
fn each_kind_of_scenario_has_its_columns() {
    insta::assert_snapshot!(MeasuredTable(&report()), @r"
    Connections over plain TCP, compared with direct round by round.
    sixteen-letters-: relay --listen 127.0.0.1:2 --upstream 127.0.0.1:1
    run: 31.2 s, 10 rounds, 250 ms a turn, 2 client threads at most; [95 % interval]

    both ways, 64 streams   GiB/s         against direct  proxy CPU    machine      context       system
                                                             s/GiB      s/GiB switches/MiB    calls/MiB
      direct                2.35                      -          -      0.000            -            -
      sixteen-letters-      2.35   0.510 [0.500, 0.520]      0.000      0.000        0.002        0.004

    short connections, 32 at a time        connections/s         against direct     p50 against direct
      direct                                        2.35                      -                      -
      sixteen-letters-                              2.35   0.510 [0.500, 0.520]   1.930 [1.891, 1.969]
      ms; µs               p50     p90     p99   p99.9     max proxy CPU   machine  switches  syscalls
      direct             0.023   0.046   1.234   12.34   212.3         -       123         -         -
      sixteen-letters-   0.023   0.046   1.234   12.34   212.3      12.0       123      2.01      4.02

    1000 idle connections          resident, untouched       after traffic    open files
      direct                                         -                   -             -
      sixteen-letters-                          1716 B             66778 B          2.00

    checked: 30.0 GiB of bulk and 74070 answers, all correct
    ");
}

#[test]
fn failures_and_warnings_are_told_within_the_width() {
    let mut report = report();
    let row = &mut report.scenarios[0].rows[1];
    (row.errors, row.rate) = (2, None);
    row.failure = Some("stream 1, to the client: byte 7 is 0x00 instead of 0x01 ".repeat(3));
    report.warnings.push("many words ".repeat(40));
    assert!(!report.is_clean());
    let text = MeasuredTable(&report).to_string();
    assert!(
        text.contains("failed: sixteen-letters-, 2 turns: stream 1"),
        "{text}"
    );
    assert!(text.contains("2 turns failed"), "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(crate::report::text::WIDTH), "{text}");
}

#[test]
fn json_reads_back() {
    let json = serde_json::to_string(&report()).unwrap();
    assert_eq!(serde_json::from_str::<Measured>(&json).unwrap(), report());
}
