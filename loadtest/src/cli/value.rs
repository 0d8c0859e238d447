//! Values of flags: what text becomes, and what is refused.

use std::time::Duration;

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
    fn counts_have_bounds() {
        assert_eq!(count::<100>("100"), Ok(100));
        for bad in ["0", "101", "-1", "x"] {
            count::<100>(bad).unwrap_err();
        }
    }
}
