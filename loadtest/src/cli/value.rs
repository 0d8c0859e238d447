//! Values of flags: what text becomes, and what is refused.

use std::time::Duration;

use crate::standin::{LARGEST_ANSWER, SMALLEST_ANSWER};

/// A length of time above 0 and up to a day.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(24 * 3_600);
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0".to_owned()),
        Ok(duration) if duration > LONGEST => Err("must be at most 24h".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as 20s or 2m")),
    }
}

/// A number from 1 to `MOST`.
pub(super) fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {MOST}")),
    }
}

/// A size of a message, bytes: it holds its number, and is kept in memory whole.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 64 << 20;
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err("write it as 200, 64KiB or 1MiB".to_owned()),
    };
    let bytes = number.parse().ok().and_then(|n: usize| n.checked_mul(unit));
    match bytes {
        Some(bytes) if (8..=LARGEST).contains(&bytes) => Ok(bytes),
        Some(_) => Err("must be from 8 bytes to 64MiB".to_owned()),
        None => Err("write it as 200, 64KiB or 1MiB".to_owned()),
    }
}

/// A size of a trace that the stand-in has, bytes.
pub(super) fn trace_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ SMALLEST_ANSWER..=LARGEST_ANSWER => Ok(bytes),
        _ => Err("must be from 1KiB to 16MiB".to_owned()),
    }
}

/// Calls a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 1 to 100000, calls a second".to_owned()),
    }
}

/// A short word that fits a column of a table.
pub(super) fn name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 16; // characters
    let fits = (1..=LONGEST).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
    match fits {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "the name '{text}' must have 1 to {LONGEST} letters, digits, or -_.+"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for bad in ["0s", "20", "25h", "soon"] {
            duration(bad).unwrap_err();
        }
    }

    #[test]
    fn sizes_are_binary_and_have_bounds() {
        assert_eq!(size("200"), Ok(200));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("4MiB"), Ok(4 << 20));
        for bad in [
            "7",
            "65MiB",
            "1GiB",
            "1kb",
            "KiB",
            "-1",
            "99999999999999999999MiB",
        ] {
            size(bad).unwrap_err();
        }
    }

    #[test]
    fn traces_and_rates_have_bounds() {
        assert_eq!(trace_size("16MiB"), Ok(16 << 20));
        for bad in ["1023", "17MiB", "x"] {
            trace_size(bad).unwrap_err();
        }
        assert_eq!(rate("2.5"), Ok(2.5));
        for bad in ["0", "0.5", "100001", "NaN", "inf", "fast"] {
            rate(bad).unwrap_err();
        }
    }

    #[test]
    fn counts_have_bounds() {
        assert_eq!(count::<100>("100"), Ok(100));
        for bad in ["0", "101", "-1", "x"] {
            count::<100>(bad).unwrap_err();
        }
    }
}
