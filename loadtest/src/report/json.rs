//! Reports as JSON: a line for each field, a list of numbers on one line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// `report` as indented JSON, which ends with a line feed.
///
/// # Errors
/// When it holds what JSON cannot.
pub(super) fn text(report: &impl Serialize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    report.serialize(&mut Serializer::with_formatter(
        &mut bytes,
        Lines(PrettyFormatter::new()),
    ))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

/// Breaks lines within objects, and not within arrays: thousands of rounds would have one each.
struct Lines(PrettyFormatter<'static>);

impl Formatter for Lines {
    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            return Ok(());
        }
        writer.write_all(b", ")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_have_lines_and_lists_have_none() {
        let value = json!({"a": [1, 2.5], "b": [{"c": []}, {}], "d": null});
        assert_eq!(
            text(&value).unwrap(),
            "{\n  \"a\": [1, 2.5],\n  \"b\": [{\n    \"c\": []\n  }, {}],\n  \"d\": null\n}\n"
        );
    }
}
