//! What was found, and how it is told: one line each, or JSON.

use std::{fmt, io};

use serde::Serialize;

/// The version of the JSON's shape: it grows when a reader of the old one would be misled.
const SCHEMA_VERSION: u32 = 1;

/// Everything that `check` has found, in the order of its looking.
#[derive(Debug, Serialize)]
pub struct Report {
    schema_version: u32,
    /// The level of the worst finding.
    worst: Level,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let worst = findings.iter().map(|finding| finding.level).max();
        Self {
            schema_version: SCHEMA_VERSION,
            worst: worst.unwrap_or(Level::Ok),
            findings,
        }
    }

    /// Whether anything found keeps the forwarder from its work.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.worst == Level::Error
    }

    /// As JSON, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: it is written into memory, and has no keys but strings.
    pub fn json(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.findings.iter().map(|finding| finding.id.len());
        let width = ids.max().unwrap_or(0);
        for Finding { id, level, message } in &self.findings {
            writeln!(f, "{:7}  {id:width$}  {message}", level.name())?;
        }
        Ok(())
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at, in kebab case; stable.
    pub(super) id: &'static str,
    pub(super) level: Level,
    /// One sentence: what is the case, and what to do if it is wrong.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn ok(id: &'static str, message: impl fmt::Display) -> Self {
        Self::new(id, Level::Ok, message)
    }

    /// It works, but not as it should.
    pub(super) fn warning(id: &'static str, message: impl fmt::Display) -> Self {
        Self::new(id, Level::Warning, message)
    }

    /// It does not work.
    pub(super) fn error(id: &'static str, message: impl fmt::Display) -> Self {
        Self::new(id, Level::Error, message)
    }

    fn new(id: &'static str, level: Level, message: impl fmt::Display) -> Self {
        Self {
            id,
            level,
            message: one_line(&message.to_string()),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Messages quote what other processes say: it neither breaks the line nor talks to the terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let (plain, escaped) = match char.is_control() {
                true => (None, Some(char.escape_default())),
                false => (Some(char), None),
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_the_worst_decides() {
        let report = Report::new(vec![
            Finding::ok("a", "fine"),
            Finding::error("a-long-id", "broken"),
            Finding::warning("b", "so so"),
        ]);
        assert_eq!(
            report.to_string(),
            "ok       a          fine\n\
             error    a-long-id  broken\n\
             warning  b          so so\n"
        );
        assert!(report.has_errors());
        assert!(!Report::new(vec![Finding::warning("b", "so so")]).has_errors());
    }

    #[test]
    fn what_others_say_stays_on_its_line() {
        let finding = Finding::ok("a", "x\n\u{1b}[31mred\u{9b} é");
        assert_eq!(finding.message, "x\\n\\u{1b}[31mred\\u{9b} é");
    }
}
