//! A report's latencies as a log of HdrHistogram, version 1.3, which HistogramLogAnalyzer,
//! HistogramLogProcessor and the libraries of all languages read.
//!
//! Each target's latencies of each kind of call are one interval, which spans the whole run, with
//! a tag of their own; in open loop, service times beside response times. Values are nanoseconds; the interval's maximum is in milliseconds.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::{AnyReport, Distribution};

/// The log of `report`.
///
/// # Errors
/// When a histogram cannot be encoded.
pub(super) fn log(report: &AnyReport) -> anyhow::Result<String> {
    let (started_at, took_s) = match report {
        AnyReport::Overhead(report) => (&report.started_at, report.measured_s),
        AnyReport::Measured(report) => (&report.started_at, report.took_s),
        AnyReport::Soak(report) => (&report.started_at, report.took_s),
    };
    let started = humantime::parse_rfc3339(started_at).unwrap_or(SystemTime::UNIX_EPOCH);
    let took = Duration::try_from_secs_f64(took_s).unwrap_or_default();

    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!(
            "[loadtest {}, values in nanoseconds]",
            report.kind()
        ))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut bytes, &mut serializer)?;
    for (tag, latency) in tagged(report) {
        let Some(latencies) = &latency.histogram else {
            continue;
        };
        let written = writer.write_histogram(
            latencies.histogram(),
            Duration::ZERO, // since the base time
            took,
            Some(Tag::new(&tag).context("a tag with a space or a comma")?),
        );
        written.map_err(|error| anyhow::anyhow!("{tag}: {error}"))?;
    }
    Ok(String::from_utf8(bytes)?)
}

/// Every target's latencies, tagged with what was done and to whom.
fn tagged(report: &AnyReport) -> Vec<(String, &Distribution)> {
    match report {
        AnyReport::Overhead(report) => {
            let kinds = report.kinds.iter().flat_map(|kind| {
                let own = [("direct", &kind.direct), ("null", &kind.null)];
                let through = kind.through.iter();
                let through = through.map(|through| (through.proxy.as_str(), &through.calls));
                let targets = own.into_iter().chain(through);
                targets.flat_map(|(name, calls)| {
                    let tag = tag(&kind.kind, name);
                    let service = calls.service.as_ref();
                    let service = service.map(|service| (format!("{tag}/service"), service));
                    [Some((tag, &calls.latency)), service].into_iter().flatten()
                })
            });
            kinds.collect()
        }
        AnyReport::Measured(report) => {
            let scenarios = report.scenarios.iter().flat_map(|scenario| {
                let rows = scenario.rows.iter();
                rows.map(|row| (tag(&scenario.name, &row.target), &row.latency))
            });
            scenarios.collect()
        }
        AnyReport::Soak(_) => Vec::new(),
    }
}

/// `health-check/direct`: a tag has neither spaces nor commas.
fn tag(what: &str, target: &str) -> String {
    let words = what.split(|c: char| c.is_whitespace() || c == ',');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}/{target}", words.join("-"))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::report::{Latencies, table};

    #[test]
    fn a_log_reads_back_with_a_tag_for_each_kind_and_target() {
        let mut report = table::tests::report();
        for (place, kind) in report.kinds.iter_mut().enumerate() {
            let mut latencies = Latencies::new();
            (0..100).for_each(|n| latencies.record((place as u64 + 1) * 1_000_000 + n));
            kind.direct.latency = Distribution::of(&latencies);
            kind.through[0].calls.latency = Distribution::of(&latencies);
        }
        let log = log(&report.into()).unwrap();
        assert!(
            log.starts_with("#[Histogram log format version 1.3]\n"),
            "{log}"
        );
        let entries = IntervalLogIterator::new(log.as_bytes()).map(Result::unwrap);
        let mut tags = Vec::new();
        for entry in entries {
            match entry {
                LogEntry::Interval(interval) => {
                    assert_eq!(interval.duration(), Duration::from_secs_f64(20.04));
                    let bytes = base64::Engine::decode(
                        &base64::prelude::BASE64_STANDARD,
                        interval.encoded_histogram(),
                    );
                    let mut decoder = Deserializer::new();
                    let read: Histogram<u64> =
                        decoder.deserialize(&mut bytes.unwrap().as_slice()).unwrap();
                    assert_eq!(read.len(), 100);
                    assert!(interval.max() < 4.0, "milliseconds: {}", interval.max());
                    tags.push(interval.tag().unwrap().as_str().to_owned());
                }
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
                    assert_eq!(time, Duration::from_secs(1_767_225_600)); // 2026-01-01
                }
            }
        }
        let expected = ["health-check", "trace-large", "query-range"]
            .map(|kind| [format!("{kind}/direct"), format!("{kind}/portamento")]);
        assert_eq!(tags, expected.concat());
    }
}
