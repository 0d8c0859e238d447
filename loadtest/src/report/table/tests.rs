//! Tables of made-up reports, as they print.

use super::super::text::WIDTH;
use super::*;
use crate::report::{
    Distribution, Environment, Failure, ProxyReport, SCHEMA_VERSION, Settings, Tail,
    TailDifference, TargetTotals,
};

fn target(p50_ns: u64) -> TargetReport {
    TargetReport {
        requests: 1_464,
        errors: 0,
        different: 0,
        latency: Distribution {
            p50_ns: Some(p50_ns),
            p90_ns: Some(p50_ns * 2),
            p99_ns: Some(p50_ns * 3),
            p999_ns: Some(p50_ns * 4),
            max_ns: Some(p50_ns * 5),
            ..Distribution::default()
        },
        service: None,
    }
}

fn difference(median_ns: f64, half_width: f64) -> Option<Difference> {
    Some(Difference {
        median_ns,
        low_ns: median_ns - half_width,
        high_ns: median_ns + half_width,
        pairs: 183,
        values_ns: Vec::new(),
    })
}

fn tail(difference_ns: f64, half_width: f64) -> Option<TailDifference> {
    Some(TailDifference {
        difference_ns,
        low_ns: difference_ns - half_width,
        high_ns: difference_ns + half_width,
    })
}

fn totals_of(target: &str) -> TargetTotals {
    TargetTotals {
        target: target.to_owned(),
        requests: 4_392,
        answer_bytes: 2 << 30,
        offered_per_s: None,
        achieved_per_s: 657.1,
        unsent: 0,
        machine_cpu_us_per_request: 812.4,
    }
}

pub(crate) fn report() -> Report {
    let kind = |kind: &str, p50_ns: u64, added: Option<Difference>, noise| KindReport {
        kind: kind.to_owned(),
        direct: target(p50_ns),
        null: target(p50_ns),
        noise,
        through: vec![ThroughReport {
            proxy: "portamento".to_owned(),
            calls: target(p50_ns + p50_ns / 9),
            added_tail: Tail {
                p90: added.as_ref().and_then(|_| tail(30e3, 10e3)),
                p99: added.as_ref().and_then(|_| tail(5e3, 10e3)),
                p999: None,
            },
            added,
        }],
    };
    Report {
        schema_version: SCHEMA_VERSION,
        kind: "overhead".to_owned(),
        command: vec!["loadtest".to_owned(), "overhead".to_owned()],
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        environment: Environment::default(),
        settings: Settings {
            duration_s: 20.0,
            mode: "closed".to_owned(),
            rate_per_s: None,
            mix: vec!["querier".to_owned()],
            sizes: Vec::new(),
            connections: 1,
            streams: 4,
            seed: 1,
            compression: "snappy".to_owned(),
            tenant: "single-tenant".to_owned(),
            tls: "none".to_owned(),
            direct: "127.0.0.1:4001".to_owned(),
            via: vec!["127.0.0.1:4002".to_owned()],
            backend: "stand-in".to_owned(),
        },
        measured_s: 20.04,
        rounds: 183,
        kinds: vec![
            kind(
                "health check",
                171_000,
                difference(27e3, 4e3),
                difference(1e3, 2e3),
            ),
            kind(
                "trace, large",
                131_204_000,
                difference(1.2e6, 130e6),
                difference(-2e6, 131e6),
            ),
            kind("query range", 1_204_000, None, None),
        ],
        targets: ["direct", "null", "portamento"].map(totals_of).to_vec(),
        totals: Totals {
            requests: 13_176,
            compared_bytes: 7 << 30,
            ..Totals::default()
        },
        syscalls_unavailable: None,
        proxies: vec![ProxyReport {
            name: "portamento".to_owned(),
            command: "portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001".to_owned(),
            requests: 4_392,
            cpu_us_per_request: 24.14,
            cpu_s_per_gib: 0.31,
            switches_per_request: 1.31,
            syscalls_per_request: Some(12.04),
            rss_bytes: 3_400_000,
            peak_rss_bytes: 3_500_000,
        }],
        failures: Vec::new(),
        client_load: 0.42,
        warnings: Vec::new(),
        failed_if: Vec::new(),
        merged: Vec::new(),
    }
}

#[test]
fn a_clean_run() {
    let report = report();
    assert!(report.is_clean());
    insta::assert_snapshot!(Table(&report), @r"
    What a read costs through a proxy, compared with the live-store stand-in directly.
    portamento: portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001
    run: 20.0 s, 183 rounds, closed loop, 1 connection x 4 streams to each target, calls: querier,
         compression snappy, TLS none, seed 1

                                       p50, ms           p99, ms       added to the median, ms   noise,
    call          requests  errors   direct  through   direct  through     [95 % interval]           ms
    health check      4392       0    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]  +0.001
    trace, large      4392       0    131.2    145.8    393.6    437.3 ~+1.200 [-128.8, +131.2]  -2.000
    query range       4392       0    1.204    1.338    3.612    4.013                        -       -
    total            13176       0

    ms                                     p50      p90      p99    p99.9      max
    health check    direct               0.171    0.342    0.513    0.684    0.855
                    portamento           0.190    0.380    0.570    0.760    0.950
                      added             +0.027   +0.030  ~+0.005        -
    trace, large    direct               131.2    262.4    393.6    524.8    656.0
                    portamento           145.8    291.6    437.3    583.1    728.9
                      added            ~+1.200   +0.030  ~+0.005        -
    query range     direct               1.204    2.408    3.612    4.816    6.020
                    portamento           1.338    2.676    4.013    5.351    6.689

    all kinds         answered  offered   machine    proxy CPU       context   system      proxy memory
    for each call      calls/s  calls/s    CPU µs       µs    s/GiB switches    calls   at end     peak
    direct                 657        -       812        -        -        -        -        -        -
    null                   657        -       812        -        -        -        -        -        -
    portamento             657        -       812     24.1    0.310     1.31     12.0  3.2 MiB  3.3 MiB

    client: 42 % of the time of its 0 threads
    answers: 7.0 GiB compared byte for byte, all identical
    ~ does not stand out from the noise: direct against direct, or what chance does to the rounds
    ");
}

#[test]
fn a_run_with_errors() {
    let mut report = report();
    report.kinds.truncate(1);
    report.kinds[0].through[0].calls.errors = 12;
    report.totals.errors = 12;
    report.totals.different = 11;
    report.proxies.clear();
    report.settings.backend = "given".to_owned();
    report.failures.push(Failure {
        call: "Querier/FindTraceByID 00001000000000000000000000000001".to_owned(),
        target: "through".to_owned(),
        what: "the answer differs from the direct one at byte 1234 of 4096".to_owned(),
    });
    report.warnings.push("only 7 rounds".to_owned());
    assert!(!report.is_clean());
    insta::assert_snapshot!(Table(&report), @r"
    What a read costs through a proxy, compared with 127.0.0.1:4001 directly.
    proxy: 127.0.0.1:4002
    run: 20.0 s, 183 rounds, closed loop, 1 connection x 4 streams to each target, calls: querier,
         compression snappy, TLS none, seed 1

                                       p50, ms           p99, ms       added to the median, ms   noise,
    call          requests  errors   direct  through   direct  through     [95 % interval]           ms
    health check      4392      12    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]  +0.001
    total            13176      12

    ms                                     p50      p90      p99    p99.9      max
    health check    direct               0.171    0.342    0.513    0.684    0.855
                    portamento           0.190    0.380    0.570    0.760    0.950
                      added             +0.027   +0.030  ~+0.005        -

    all kinds         answered  offered   machine    proxy CPU       context   system      proxy memory
    for each call      calls/s  calls/s    CPU µs       µs    s/GiB switches    calls   at end     peak
    direct                 657        -       812        -        -        -        -        -        -
    null                   657        -       812        -        -        -        -        -        -
    portamento             657        -       812        -        -        -        -        -        -

    proxy: CPU and memory unknown, for this run did not start it
    client: 42 % of the time of its 0 threads
    answers: 7.0 GiB compared byte for byte, 11 of them different
    ~ does not stand out from the noise: direct against direct, or what chance does to the rounds
    error: Querier/FindTraceByID 00001000000000000000000000000001 (through): the answer differs from the
           direct one at byte 1234 of 4096
    error: and 11 more
    warning: only 7 rounds
    ");
}

#[test]
fn several_proxies_have_a_row_each() {
    let mut report = report();
    report.kinds.truncate(2);
    for kind in &mut report.kinds {
        let mut other = kind.through[0].clone();
        other.proxy = "sixteen-letters-".to_owned();
        kind.through.push(other);
    }
    report.settings.via.push("127.0.0.1:4003".to_owned());
    let mut other = report.proxies[0].clone();
    other.name = "sixteen-letters-".to_owned();
    other.syscalls_per_request = None;
    report.proxies.push(other);
    report.syscalls_unavailable = Some("perf cannot be run".to_owned());
    insta::assert_snapshot!(Table(&report), @r"
    What a read costs through a proxy, compared with the live-store stand-in directly.
    portamento: portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001
    sixteen-letters-: portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001
    run: 20.0 s, 183 rounds, closed loop, 1 connection x 4 streams to each target, calls: querier,
         compression snappy, TLS none, seed 1

    call                                    p50, ms           p99, ms        added to the median, ms
      through          requests  errors   direct  through   direct  through          [95 % interval]
    health check (noise +0.001 ms)
      portamento           1464       0    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]
      sixteen-letters-     1464       0    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]
    trace, large (noise -2.000 ms)
      portamento           1464       0    131.2    145.8    393.6    437.3 ~+1.200 [-128.8, +131.2]
      sixteen-letters-     1464       0    131.2    145.8    393.6    437.3 ~+1.200 [-128.8, +131.2]
    total                 13176       0

    ms                                     p50      p90      p99    p99.9      max
    health check    direct               0.171    0.342    0.513    0.684    0.855
                    portamento           0.190    0.380    0.570    0.760    0.950
                      added             +0.027   +0.030  ~+0.005        -
                    sixteen-letters-     0.190    0.380    0.570    0.760    0.950
                      added             +0.027   +0.030  ~+0.005        -
    trace, large    direct               131.2    262.4    393.6    524.8    656.0
                    portamento           145.8    291.6    437.3    583.1    728.9
                      added            ~+1.200   +0.030  ~+0.005        -
                    sixteen-letters-     145.8    291.6    437.3    583.1    728.9
                      added            ~+1.200   +0.030  ~+0.005        -

    all kinds         answered  offered   machine    proxy CPU       context   system      proxy memory
    for each call      calls/s  calls/s    CPU µs       µs    s/GiB switches    calls   at end     peak
    direct                 657        -       812        -        -        -        -        -        -
    null                   657        -       812        -        -        -        -        -        -
    portamento             657        -       812     24.1    0.310     1.31     12.0  3.2 MiB  3.3 MiB

    system calls: not counted, for perf cannot be run
    client: 42 % of the time of its 0 threads
    answers: 7.0 GiB compared byte for byte, all identical
    ~ does not stand out from the noise: direct against direct, or what chance does to the rounds
    ");
}

#[test]
fn no_line_is_too_wide() {
    let mut report = report();
    report.warnings.push("many words ".repeat(40));
    let text = Table(&report).to_string();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest.unwrap() <= WIDTH, "{widest:?}\n{text}");
}

#[test]
fn json_reads_back() {
    let report = report();
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.starts_with(r#"{"schema_version":3,"#), "{json}");
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
