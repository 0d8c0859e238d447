//! A report of any command: what it is turned into, and how it is read back.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare_table::CompareTable;
use super::measured_table::MeasuredTable;
use super::soak::SoakTable;
use super::table::Table;
use super::{Measured, Report, SCHEMA_VERSION, SoakReport, csv, hdr, html, json};

/// The report of one command; its field `kind` names the command.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AnyReport {
    /// `overhead`.
    Overhead(Box<Report>),
    /// `throughput`, `latency`, `connections` or `compare`.
    Measured(Measured),
    /// `soak`.
    Soak(SoakReport),
}

/// What every report begins with.
#[derive(Deserialize)]
struct Head {
    schema_version: u32,
    kind: String,
}

impl AnyReport {
    /// Reads a report that [`AnyReport::json`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is no report, or one of another version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let Head {
            schema_version,
            kind,
        } = serde_json::from_str(text).context("not a report of loadtest")?;
        if schema_version != SCHEMA_VERSION {
            bail!(
                "written with schema version {schema_version}, while this loadtest reads \
                 {SCHEMA_VERSION}"
            );
        }
        Ok(match kind.as_str() {
            "overhead" => Self::Overhead(serde_json::from_str(text)?),
            "soak" => Self::Soak(serde_json::from_str(text)?),
            "throughput" | "latency" | "connections" | "compare" => {
                Self::Measured(serde_json::from_str(text)?)
            }
            _ => bail!("the report of an unknown command, '{kind}'"),
        })
    }

    /// The command that wrote it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Overhead(report) => &report.kind,
            Self::Measured(report) => &report.kind,
            Self::Soak(report) => &report.kind,
        }
    }

    /// Whether all went well.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Overhead(report) => report.is_clean(),
            Self::Measured(report) => report.is_clean(),
            Self::Soak(report) => report.is_clean(),
        }
    }

    /// As text, at most 100 columns wide.
    pub fn table(&self) -> String {
        match self {
            Self::Overhead(report) => Table(report).to_string(),
            Self::Measured(report) if report.kind == "compare" => CompareTable(report).to_string(),
            Self::Measured(report) => MeasuredTable(report).to_string(),
            Self::Soak(report) => SoakTable(report).to_string(),
        }
    }

    /// As JSON, in full.
    ///
    /// # Errors
    /// When it holds what JSON cannot.
    pub fn json(&self) -> anyhow::Result<String> {
        json::text(self)
    }

    /// As one self-contained page.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Its figures, one in each row.
    ///
    /// # Errors
    /// Those of writing to memory: none in practice.
    pub fn csv(&self) -> anyhow::Result<String> {
        csv::text(self)
    }

    /// Its latencies, as a log of HdrHistogram.
    ///
    /// # Errors
    /// When a histogram cannot be encoded.
    pub fn hdr(&self) -> anyhow::Result<String> {
        hdr::log(self)
    }
}

impl From<Report> for AnyReport {
    fn from(report: Report) -> Self {
        Self::Overhead(Box::new(report))
    }
}

impl From<Measured> for AnyReport {
    fn from(report: Measured) -> Self {
        Self::Measured(report)
    }
}

impl From<SoakReport> for AnyReport {
    fn from(report: SoakReport) -> Self {
        Self::Soak(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_told() {
        let why = |text: &str| format!("{:#}", AnyReport::parse(text).unwrap_err());
        assert!(
            why("{}").starts_with("not a report of loadtest"),
            "{}",
            why("{}")
        );
        let old = r#"{"schema_version":2,"kind":"latency"}"#;
        assert_eq!(
            why(old),
            "written with schema version 2, while this loadtest reads 3"
        );
        let odd = r#"{"schema_version":3,"kind":"guess"}"#;
        assert_eq!(why(odd), "the report of an unknown command, 'guess'");
        let cut = r#"{"schema_version":3,"kind":"overhead"}"#;
        assert!(why(cut).contains("missing field"), "{}", why(cut));
    }
}
