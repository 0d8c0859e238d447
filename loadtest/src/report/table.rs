//! A report as text, at most 100 columns wide.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Difference, KindReport, Report, TargetReport};
use crate::units::{bytes, millis, signed_millis};

const WIDTH: usize = 100; // columns

/// Prints a report.
#[derive(Debug)]
pub struct Table<'a>(pub &'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        header(f, report)?;
        writeln!(f)?;
        columns(f)?;
        for kind in &report.kinds {
            row(f, kind)?;
        }
        writeln!(
            f,
            "{:<13}{:>9}{:>8}",
            "total", report.totals.requests, report.totals.errors
        )?;
        writeln!(f)?;
        footer(f, report)
    }
}

fn header(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let settings = &report.settings;
    let backend = match settings.backend.as_str() {
        "stand-in" => "the live-store stand-in".to_owned(),
        _ => settings.direct.clone(),
    };
    let proxy = report
        .proxy
        .as_ref()
        .map_or(settings.via.as_str(), |proxy| &proxy.command);
    wrapped(
        f,
        "",
        &format!("What a read costs through a proxy, compared with {backend} directly."),
    )?;
    wrapped(f, "proxy: ", proxy)?;
    let plural = if settings.connections == 1 { "" } else { "s" };
    wrapped(
        f,
        "run: ",
        &format!(
            "{:.1} s, {} rounds, {} connection{plural} x {} streams to each target, compression {}, seed {}",
            report.measured_s,
            report.rounds,
            settings.connections,
            settings.streams,
            settings.compression,
            settings.seed
        ),
    )
}

fn columns(f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "{:30}{:^18}{:^18}{:^25}{:>8}",
        "", "p50, ms", "p99, ms", "added to the median, ms", "noise,"
    )?;
    writeln!(
        f,
        "{:<13}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}{:^25}{:>8}",
        "call",
        "requests",
        "errors",
        "direct",
        "through",
        "direct",
        "through",
        "[95 % interval]",
        "ms"
    )
}

fn row(f: &mut Formatter<'_>, kind: &KindReport) -> fmt::Result {
    let sum = |of: fn(&TargetReport) -> u64| kind.targets().into_iter().map(of).sum::<u64>();
    let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |ns| millis(ns as f64));
    let added = kind.added.as_ref().map_or_else(
        || "-".to_owned(),
        |added| {
            let mark = if kind.stands_out() == Some(true) {
                ' '
            } else {
                '~'
            };
            format!(
                "{mark}{} {}",
                signed_millis(added.median_ns),
                interval(added)
            )
        },
    );
    let noise = kind
        .noise
        .as_ref()
        .map_or_else(|| "-".to_owned(), |noise| signed_millis(noise.median_ns));
    writeln!(
        f,
        "{:<13}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}{:>25}{:>8}",
        kind.kind,
        sum(|target| target.requests),
        sum(|target| target.errors),
        time(kind.direct.p50_ns),
        time(kind.through.p50_ns),
        time(kind.direct.p99_ns),
        time(kind.through.p99_ns),
        added,
        noise
    )
}

fn interval(difference: &Difference) -> String {
    let (low, high) = (
        signed_millis(difference.low_ns),
        signed_millis(difference.high_ns),
    );
    format!("[{low}, {high}]")
}

fn footer(f: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let totals = &report.totals;
    match &report.proxy {
        Some(proxy) => writeln!(
            f,
            "proxy: {:.1} µs of CPU a request, {} resident (peak {})",
            proxy.cpu_us_per_request,
            bytes(proxy.rss_bytes),
            bytes(proxy.peak_rss_bytes)
        )?,
        None => writeln!(
            f,
            "proxy: CPU and memory unknown, for this run did not start it"
        )?,
    }
    let verdict = match totals.different {
        0 => "all identical".to_owned(),
        different => format!("{different} of them different"),
    };
    writeln!(
        f,
        "answers: {} compared byte for byte, {verdict}",
        bytes(totals.compared_bytes)
    )?;
    if report
        .kinds
        .iter()
        .any(|kind| kind.stands_out() == Some(false))
    {
        wrapped(
            f,
            "~ ",
            "does not stand out from the noise, which is direct against direct",
        )?;
    }
    for failure in &report.failures {
        let target = &failure.target;
        wrapped(
            f,
            "error: ",
            &format!("{} ({target}): {}", failure.call, failure.what),
        )?;
    }
    let shown = report.failures.len() as u64;
    if totals.errors > shown {
        writeln!(f, "error: and {} more", totals.errors - shown)?;
    }
    report
        .warnings
        .iter()
        .try_for_each(|warning| wrapped(f, "warning: ", warning))
}

/// Writes `text` after `label`, further lines indented below it.
fn wrapped(f: &mut Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    f.write_str(label)?;
    let mut column = label.chars().count();
    for (place, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if place > 0 && column + 1 + width > WIDTH {
            write!(f, "\n{:1$}", "", label.len())?;
            column = label.len();
        } else if place > 0 {
            f.write_char(' ')?;
            column += 1;
        }
        f.write_str(word)?;
        column += width;
    }
    f.write_char('\n')
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Failure, ProxyReport, SCHEMA_VERSION, Settings, Totals};
    use super::*;

    fn target(p50_ns: u64) -> TargetReport {
        TargetReport {
            requests: 1_464,
            errors: 0,
            different: 0,
            p50_ns: Some(p50_ns),
            p90_ns: Some(p50_ns * 2),
            p99_ns: Some(p50_ns * 3),
            p999_ns: Some(p50_ns * 4),
            max_ns: Some(p50_ns * 5),
        }
    }

    fn difference(median_ns: f64, half_width: f64) -> Option<Difference> {
        Some(Difference {
            median_ns,
            low_ns: median_ns - half_width,
            high_ns: median_ns + half_width,
            pairs: 183,
        })
    }

    fn report() -> Report {
        let kind = |kind: &str, p50_ns: u64, added, noise| KindReport {
            kind: kind.to_owned(),
            direct: target(p50_ns),
            through: target(p50_ns + p50_ns / 9),
            null: target(p50_ns),
            added,
            noise,
        };
        Report {
            schema_version: SCHEMA_VERSION,
            command: vec!["loadtest".to_owned(), "overhead".to_owned()],
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            environment: Environment::default(),
            settings: Settings {
                duration_s: 20.0,
                connections: 1,
                streams: 4,
                seed: 1,
                compression: "snappy".to_owned(),
                direct: "127.0.0.1:4001".to_owned(),
                via: "127.0.0.1:4002".to_owned(),
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
            totals: Totals {
                requests: 13_176,
                compared_bytes: 7 << 30,
                ..Totals::default()
            },
            proxy: Some(ProxyReport {
                command: "portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001".to_owned(),
                requests: 4_392,
                cpu_us_per_request: 24.14,
                rss_bytes: 3_400_000,
                peak_rss_bytes: 3_500_000,
            }),
            failures: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_clean_run() {
        let report = report();
        assert!(report.is_clean());
        insta::assert_snapshot!(Table(&report), @r"
        What a read costs through a proxy, compared with the live-store stand-in directly.
        proxy: portamento --listen 127.0.0.1:4002 --upstream 127.0.0.1:4001
        run: 20.0 s, 183 rounds, 1 connection x 4 streams to each target, compression snappy, seed 1

                                           p50, ms           p99, ms       added to the median, ms   noise,
        call          requests  errors   direct  through   direct  through     [95 % interval]           ms
        health check      4392       0    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]  +0.001
        trace, large      4392       0    131.2    145.8    393.6    437.3 ~+1.200 [-128.8, +131.2]  -2.000
        query range       4392       0    1.204    1.338    3.612    4.013                        -       -
        total            13176       0

        proxy: 24.1 µs of CPU a request, 3.2 MiB resident (peak 3.3 MiB)
        answers: 7.0 GiB compared byte for byte, all identical
        ~ does not stand out from the noise, which is direct against direct
        ");
    }

    #[test]
    fn a_run_with_errors() {
        let mut report = report();
        report.kinds.truncate(1);
        report.kinds[0].through.errors = 12;
        report.totals.errors = 12;
        report.totals.different = 11;
        report.proxy = None;
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
        run: 20.0 s, 183 rounds, 1 connection x 4 streams to each target, compression snappy, seed 1

                                           p50, ms           p99, ms       added to the median, ms   noise,
        call          requests  errors   direct  through   direct  through     [95 % interval]           ms
        health check      4392      12    0.171    0.190    0.513    0.570  +0.027 [+0.023, +0.031]  +0.001
        total            13176      12

        proxy: CPU and memory unknown, for this run did not start it
        answers: 7.0 GiB compared byte for byte, 11 of them different
        error: Querier/FindTraceByID 00001000000000000000000000000001 (through): the answer differs from the
               direct one at byte 1234 of 4096
        error: and 11 more
        warning: only 7 rounds
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
        assert!(json.starts_with(r#"{"schema_version":1,"#), "{json}");
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
