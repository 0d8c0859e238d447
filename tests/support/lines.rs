//! Log lines, read back.

use std::time::Duration;

/// One line of logfmt.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    fields: Vec<(String, String)>,
}

impl Line {
    pub(crate) fn parse(text: &str) -> Self {
        let mut fields = Vec::new();
        let mut rest = text.trim_start();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => until_quote(quoted),
                None => {
                    let (value, after) = after.split_once(' ').unwrap_or((after, ""));
                    (value.to_owned(), after)
                }
            };
            fields.push((key.to_owned(), value));
            rest = after.trim_start();
        }
        Self { fields }
    }

    /// The value of a field, without its quotes.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field; empty where there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// The value of a field that is a whole number.
    ///
    /// # Panics
    /// There is none.
    pub(crate) fn number(&self, key: &str) -> usize {
        self.text(key)
            .parse()
            .unwrap_or_else(|_| panic!("no number {key} in {self:?}"))
    }

    /// Who ended a connection, why, and the errno: what most tests of a record are about.
    pub(crate) fn end(&self) -> (&str, &str, &str) {
        (
            self.text("closed_by"),
            self.text("reason"),
            self.text("errno"),
        )
    }

    /// The time of day in `ts=YYYY-MM-DDTHH:MM:SS.FRACTIONZ`.
    pub(crate) fn time_of_day(&self) -> Duration {
        let time = self
            .text("ts")
            .split_once('T')
            .unwrap()
            .1
            .trim_end_matches('Z');
        let mut parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
        let mut next = || parts.next().unwrap();
        Duration::from_secs_f64(next() * 3600.0 + next() * 60.0 + next())
    }
}

/// Reads up to the closing quote, and returns what follows it as well.
fn until_quote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}
