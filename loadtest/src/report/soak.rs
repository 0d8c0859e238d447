//! What `soak` found.

use std::fmt::{self, Display, Formatter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Environment;
use super::text::wrapped;
use crate::soak::verdict::Mismatch;
use crate::units::bytes;

/// The result of `loadtest soak`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SoakReport {
    /// [`super::SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// `soak`.
    pub kind: String,
    /// The command line of this run.
    pub command: Vec<String>,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Where it ran.
    pub environment: Environment,
    /// How long it took, seconds.
    pub took_s: f64,
    /// What fixed every connection.
    pub seed: u64,
    /// The number of the first connection.
    pub first: u64,
    /// Connections at a time.
    pub concurrency: usize,
    /// How the proxy was started, or where it is.
    pub proxy: String,
    /// Connections that came to their end.
    pub connections: u64,
    /// Of those, half-closed: one side sent on after the other's FIN.
    pub half_closed: u64,
    /// Of those, reset by one side.
    pub reset: u64,
    /// Of those, with a reader that pauses.
    pub slow: u64,
    /// Resets that came to the other side as FIN, so that nothing tells it that bytes are missing.
    pub resets_as_fin: u64,
    /// Bytes received and checked, both ways.
    pub checked_bytes: u64,
    /// The first thing that was wrong.
    pub mismatch: Option<Mismatch>,
    /// What the proxy held at the end of each period, with no connection open; empty when its
    /// process is not known.
    pub held: Vec<Flat>,
    /// What to know besides.
    pub warnings: Vec<String>,
}

/// What a process held of something, over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flat {
    /// Of what.
    pub what: String,
    /// How much, at the end of each period.
    pub samples: Vec<u64>,
    /// How much more than the most of the earlier half the most of the later half may be.
    pub most_more: u64,
    /// Whether it is no more.
    pub is_flat: bool,
}

impl SoakReport {
    /// Whether nothing was wrong, and the proxy held no more at the end.
    pub fn is_clean(&self) -> bool {
        self.connections > 0 && self.mismatch.is_none() && self.held.iter().all(|held| held.is_flat)
    }
}

/// Prints a soak.
#[derive(Debug)]
pub struct SoakTable<'a>(pub &'a SoakReport);

impl Display for SoakTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        wrapped(
            f,
            "",
            "Does every byte arrive, once, in order, and where it belongs?",
        )?;
        wrapped(f, "proxy: ", &report.proxy)?;
        let run = format!(
            "{:.1} s, {} connections, {} at a time, seed {}",
            report.took_s, report.connections, report.concurrency, report.seed
        );
        wrapped(f, "run: ", &run)?;
        let kinds = format!(
            "{} half-closed, {} reset, {} with a slow reader",
            report.half_closed, report.reset, report.slow
        );
        wrapped(f, "among them: ", &kinds)?;
        writeln!(f)?;
        for held in &report.held {
            let samples = held.samples.iter().map(u64::to_string).collect::<Vec<_>>();
            let verdict = if held.is_flat { "flat" } else { "GROWS" };
            wrapped(
                f,
                &format!("{}: ", held.what),
                &format!("{verdict}: {}", samples.join(" ")),
            )?;
        }
        if report.held.is_empty() {
            wrapped(
                f,
                "the proxy's files and memory: ",
                "unknown; name its process with --pid",
            )?;
        }
        let checked = bytes(report.checked_bytes);
        match &report.mismatch {
            None => wrapped(f, "checked: ", &format!("{checked}, 0 mismatches"))?,
            Some(mismatch) => {
                wrapped(f, "checked: ", &checked)?;
                wrapped(f, "MISMATCH: ", &mismatch.to_string())?;
                let Mismatch { connection, .. } = mismatch;
                let again = format!(
                    "--seed {} --first {connection} --connections 1",
                    report.seed
                );
                wrapped(f, "to repeat the connection: ", &again)?;
            }
        }
        let mut warnings = report.warnings.iter();
        warnings.try_for_each(|warning| wrapped(f, "warning: ", warning))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::SCHEMA_VERSION;

    pub(in crate::report) fn report() -> SoakReport {
        let held = |what: &str, samples: [u64; 4], is_flat| Flat {
            what: what.to_owned(),
            samples: samples.to_vec(),
            most_more: 8,
            is_flat,
        };
        SoakReport {
            schema_version: SCHEMA_VERSION,
            kind: "soak".to_owned(),
            command: Vec::new(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            environment: Environment::default(),
            took_s: 60.2,
            seed: 1_795_397_148,
            first: 0,
            concurrency: 32,
            proxy: "portamento --listen 127.0.0.1:2 --upstream 127.0.0.1:1".to_owned(),
            connections: 2_440,
            half_closed: 950,
            reset: 560,
            slow: 1_120,
            resets_as_fin: 0,
            checked_bytes: 2 << 30,
            mismatch: None,
            held: vec![
                held("open files, without pipes", [18, 18, 18, 19], true),
                held("ends of pipes", [6, 4, 400, 600], false),
            ],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_clean_soak() {
        let mut report = report();
        assert!(!report.is_clean(), "the pipes grow");
        report.held.pop();
        assert!(report.is_clean());
        insta::assert_snapshot!(SoakTable(&report), @r"
        Does every byte arrive, once, in order, and where it belongs?
        proxy: portamento --listen 127.0.0.1:2 --upstream 127.0.0.1:1
        run: 60.2 s, 2440 connections, 32 at a time, seed 1795397148
        among them: 950 half-closed, 560 reset, 1120 with a slow reader

        open files, without pipes: flat: 18 18 18 19
        checked: 2.0 GiB, 0 mismatches
        ");
    }

    #[test]
    fn a_mismatch_is_located_and_can_be_repeated() {
        let mut report = report();
        report.mismatch = Some(Mismatch {
            connection: 26,
            direction: "to the client".to_owned(),
            offset: 1_163,
            what: "0x35 instead of 0xf3; what comes there belongs to connection 0, to the client, \
                   from byte 3157 on"
                .to_owned(),
        });
        report
            .warnings
            .push("4 of 560 resets came as FIN".to_owned());
        assert!(!report.is_clean());
        insta::assert_snapshot!(SoakTable(&report), @r"
        Does every byte arrive, once, in order, and where it belongs?
        proxy: portamento --listen 127.0.0.1:2 --upstream 127.0.0.1:1
        run: 60.2 s, 2440 connections, 32 at a time, seed 1795397148
        among them: 950 half-closed, 560 reset, 1120 with a slow reader

        open files, without pipes: flat: 18 18 18 19
        ends of pipes: GROWS: 6 4 400 600
        checked: 2.0 GiB
        MISMATCH: connection 26, to the client, byte 1163: 0x35 instead of 0xf3; what comes there belongs to
                  connection 0, to the client, from byte 3157 on
        to repeat the connection: --seed 1795397148 --first 26 --connections 1
        warning: 4 of 560 resets came as FIN
        ");
    }

    #[test]
    fn json_reads_back() {
        let json = serde_json::to_string(&report()).unwrap();
        assert_eq!(serde_json::from_str::<SoakReport>(&json).unwrap(), report());
    }
}
