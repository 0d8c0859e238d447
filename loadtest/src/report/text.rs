//! Text that keeps within the width of a terminal.

use std::fmt::{self, Formatter, Write as _};

use super::Merged;

/// The widest line of a table, columns.
pub(super) const WIDTH: usize = 100;

/// Names the reports that a merged one is made of, with their machines.
pub(super) fn merged(f: &mut Formatter<'_>, all: &[Merged]) -> fmt::Result {
    for part in all {
        let environment = &part.environment;
        let text = format!(
            "{:.1} s from {}, {} CPUs, {}, kernel {}",
            part.took_s, part.started_at, environment.cpus, environment.cpu, environment.kernel
        );
        wrapped(f, &format!("merged: {}: ", part.file), &text)?;
    }
    Ok(())
}

/// Writes `text` after `label`, further lines indented below it.
pub(super) fn wrapped(f: &mut Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    f.write_str(label)?;
    let indent = label.chars().count();
    let mut column = indent;
    for (place, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if place > 0 && column + 1 + width > WIDTH {
            write!(f, "\n{:indent$}", "")?;
            column = indent;
        } else if place > 0 {
            f.write_char(' ')?;
            column += 1;
        }
        f.write_str(word)?;
        column += width;
    }
    f.write_char('\n')
}
