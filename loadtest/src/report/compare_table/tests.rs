//! A table of a made-up comparison, as it prints.

use super::*;
use crate::report::text::WIDTH;
use crate::report::{
    Comparison, Distribution, Environment, Idle, SCHEMA_VERSION, TargetDescription,
};

fn estimate(median: f64) -> Option<Estimate> {
    Some(Estimate {
        median,
        low: Some(median * 0.98),
        high: Some(median * 1.02),
        rounds: 7,
        ..Estimate::default()
    })
}

fn row(target: &str, rate: f64) -> Row {
    let compared = |metric: &str, ratio| Comparison {
        base: BASE.to_owned(),
        metric: metric.to_owned(),
        ratio: estimate(ratio).unwrap(),
    };
    let is_direct = target == "direct";
    Row {
        target: target.to_owned(),
        rounds: 7,
        bytes: 5 << 30,
        operations: 12_345,
        rate: estimate(rate),
        latency: Distribution {
            p50_ns: Some(23_400),
            p99_ns: Some(1_234_000),
            ..Distribution::default()
        },
        cpu_s: estimate(0.123).filter(|_| !is_direct),
        machine_cpu_s: estimate(1.23),
        idle: Some(Idle {
            connections: 500,
            untouched_bytes: estimate(1_716.0).unwrap(),
            used_bytes: estimate(66_778.0).unwrap(),
            fds: estimate(2.0),
        })
        .filter(|_| !is_direct),
        comparisons: match target {
            BASE => Vec::new(),
            _ => vec![
                compared("rate", rate / 2.0),
                compared("p50_ns", 1.93),
                compared("cpu_s", 1.5),
            ],
        },
        ..Row::default()
    }
}

pub(crate) fn report() -> Measured {
    let failed = |pid: u32| Row {
        target: "haproxy-splice".to_owned(),
        errors: 2,
        failure: Some(format!(
            "haproxy-splice ended (exit status: 1): [{pid}] no such setting"
        )),
        ..Row::default()
    };
    let scenario = |name: &str, unit: &str, pid| Scenario {
        name: name.to_owned(),
        unit: unit.to_owned(),
        rows: vec![
            row("direct", 4.0),
            row(BASE, 2.0),
            row(CONTROL, 2.01),
            failed(pid),
        ],
    };
    let target = |name: &str, version: Option<&str>, missing: Option<&str>| TargetDescription {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        missing: missing.map(str::to_owned),
        optional: name != BASE && name != "direct",
        ..TargetDescription::default()
    };
    Measured {
        schema_version: SCHEMA_VERSION,
        kind: "compare".to_owned(),
        command: Vec::new(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        took_s: 178.0,
        environment: Environment::default(),
        rounds: 7,
        slice_s: 0.15,
        client_threads: 2,
        backend: "origin".to_owned(),
        targets: vec![
            target("direct", None, None),
            target(BASE, Some("portamento 0.1.0"), None),
            target(CONTROL, Some("portamento 0.1.0"), None),
            target("haproxy-splice", Some("HAProxy version 2.6.12"), None),
            target("envoy", None, Some("envoy is not in PATH")),
        ],
        scenarios: vec![
            scenario("500 idle connections", "idle connection", 1),
            scenario("200 B -> 64 KiB", "request", 22),
            scenario("down, 8 streams", "GiB", 333),
        ],
        control: Some(Comparison {
            base: BASE.to_owned(),
            metric: "rate".to_owned(),
            ratio: estimate(1.005).unwrap(),
        }),
        syscalls_unavailable: None,
        warnings: vec!["the CPU's frequency governor is 'powersave'".to_owned()],
        failed_if: Vec::new(),
        merged: Vec::new(),
    }
}

#[test]
fn failures_missing_peers_and_the_control_are_told() {
    let report = report();
    assert!(
        report.is_clean(),
        "a peer's failure is no failure of the run"
    );
    insta::assert_snapshot!(CompareTable(&report), @r"
    Direct, portamento and its peers in turns: 178 s, 7 rounds, 150 ms for each scenario.
    Ratios are against portamento, medians of the rounds' own; [95 % interval]. A higher rate is better,
    a lower time and CPU is.
    portamento: portamento 0.1.0
    portamento-again: portamento 0.1.0
    haproxy-splice: HAProxy version 2.6.12
    envoy: not measured, envoy is not in PATH

    500 idle connections           resident, untouched       after traffic    open files
      direct                                         -                   -             -
      portamento                                1716 B             66778 B          2.00
      portamento-again                          1716 B             66778 B          2.00
      haproxy-splice                                 -                   -             -
        failed: haproxy-splice, 2 turns: haproxy-splice ended (exit status: 1): [1] no such setting

    200 B -> 64 KiB
                         requests/s p50, ms     p99            p50, ratio CPU, µs                 ratio
      direct                   4.00   0.023   1.234  1.930 [1.891, 1.969]       -  1.500 [1.470, 1.530]
      portamento               2.00   0.023   1.234                     1  123000                     1
      portamento-again         2.01   0.023   1.234  1.930 [1.891, 1.969]  123000  1.500 [1.470, 1.530]
      haproxy-splice              -       -       -                     -       -                     -
        failed: haproxy-splice, as above

    down, 8 streams
                        GiB/s                  ratio  CPU, s/GiB                  ratio  machine, s/GiB
      direct             4.00   2.000 [1.960, 2.040]           -   1.500 [1.470, 1.530]            1.23
      portamento         2.00                      1       0.123                      1            1.23
      portamento-again   2.01   1.005 [0.985, 1.025]       0.123   1.500 [1.470, 1.530]            1.23
      haproxy-splice        -                      -           -                      -               -
        failed: haproxy-splice, as above

    checked: 45.0 GiB of bulk and 111105 answers, 6 turns failed
    control: portamento against itself, all rates together: 1.005 [0.985, 1.025], holds 1, as it should;
             alone, 3 of 3 scenarios hold 1
    warning: the CPU's frequency governor is 'powersave'
    ");
}

#[test]
fn no_line_is_too_wide() {
    let text = CompareTable(&report()).to_string();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(WIDTH), "{text}");
}

#[test]
fn a_control_that_differs_from_itself_is_told() {
    let mut report = report();
    report.control.as_mut().unwrap().ratio = estimate(1.1).unwrap();
    let text = CompareTable(&report).to_string();
    assert!(text.contains("does not hold 1"), "{text}");
}

#[test]
fn without_portamento_there_is_no_clean_run() {
    let mut report = report();
    report.scenarios[1].rows[1].errors = 1;
    assert!(!report.is_clean());
}
