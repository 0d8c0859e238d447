//! Sizes in bytes: `64KiB`, `1MiB`, `2GiB` or plain bytes.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use thiserror::Error;

/// A number of bytes, shown in the largest unit that divides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Size {
    /// Reads a size and holds it against `range`.
    ///
    /// # Errors
    ///
    /// What [`Size::from_str`] refuses, and a size out of `range`.
    pub fn parse_within(text: &str, range: &RangeInclusive<Self>) -> Result<Self, SizeError> {
        let size = text.parse()?;
        if range.contains(&size) {
            return Ok(size);
        }
        Err(SizeError::Range {
            from: *range.start(),
            to: *range.end(),
        })
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::Number);
        }
        let factor = match unit {
            "" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            _ => return Err(SizeError::unit(unit)),
        };
        // All digits: what fails to parse is too large.
        let number: usize = number.parse().map_err(|_| SizeError::TooLarge)?;
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes.is_multiple_of(GIB) => write!(f, "{}GiB", bytes / GIB),
            bytes if bytes.is_multiple_of(MIB) => write!(f, "{}MiB", bytes / MIB),
            bytes if bytes.is_multiple_of(KIB) => write!(f, "{}KiB", bytes / KIB),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeError {
    /// No number in front.
    #[error("a size is a whole number with KiB, MiB, GiB or, in bytes, no unit: 64KiB, 65536")]
    Number,
    /// A unit that may be meant as 1000 or as 1024.
    #[error("the unit '{unit}' is ambiguous: write {advice} (1KiB is 1024 bytes)")]
    Ambiguous {
        /// What was typed.
        unit: String,
        /// What to type.
        advice: &'static str,
    },
    /// No unit at all.
    #[error("'{0}' is no unit: write KiB, MiB, GiB or, in bytes, none")]
    Unit(String),
    /// More bytes than can be counted.
    #[error("more bytes than this machine can count")]
    TooLarge,
    /// Outside what the flag takes.
    #[error("out of range: give {from} to {to}")]
    Range {
        /// The smallest.
        from: Size,
        /// The largest.
        to: Size,
    },
}

impl SizeError {
    fn unit(unit: &str) -> Self {
        let advice = match unit.to_ascii_lowercase().as_str() {
            "k" | "kb" | "kib" => "KiB",
            "m" | "mb" | "mib" => "MiB",
            "g" | "gb" | "gib" => "GiB",
            _ => return Self::Unit(unit.to_owned()),
        };
        Self::Ambiguous {
            unit: unit.to_owned(),
            advice,
        }
    }
}

/// 1024 bytes.
pub(crate) const KIB: usize = 1 << 10;
/// 1024 KiB.
pub(crate) const MIB: usize = 1 << 20;
/// 1024 MiB.
pub(crate) const GIB: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_two() {
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("4096", 4096),
            ("1KiB", 1024),
            ("64KiB", 65_536),
            ("007KiB", 7 * 1024),
            ("1MiB", 1_048_576),
            ("2GiB", 2_147_483_648),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_advice() {
        let ambiguous = |unit: &str, advice| SizeError::Ambiguous {
            unit: unit.to_owned(),
            advice,
        };
        for (text, error) in [
            ("", SizeError::Number),
            ("KiB", SizeError::Number),
            ("-1", SizeError::Number),
            ("+1", SizeError::Number),
            (" 1", SizeError::Number),
            ("64K", ambiguous("K", "KiB")),
            ("64KB", ambiguous("KB", "KiB")),
            ("64kib", ambiguous("kib", "KiB")),
            ("1M", ambiguous("M", "MiB")),
            ("1gb", ambiguous("gb", "GiB")),
            ("1 KiB", SizeError::Unit(" KiB".to_owned())),
            ("1.5MiB", SizeError::Unit(".5MiB".to_owned())),
            ("1TiB", SizeError::Unit("TiB".to_owned())),
            ("99999999999999999999", SizeError::TooLarge),
            ("99999999999999GiB", SizeError::TooLarge),
        ] {
            assert_eq!(text.parse::<Size>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_range_includes_its_ends() {
        let range = Size(4 * KIB)..=Size(MIB);
        let error = SizeError::Range {
            from: Size(4 * KIB),
            to: Size(MIB),
        };
        assert_eq!(Size::parse_within("4KiB", &range), Ok(Size(4096)));
        assert_eq!(Size::parse_within("1MiB", &range), Ok(Size(MIB)));
        assert_eq!(Size::parse_within("4095", &range), Err(error.clone()));
        assert_eq!(Size::parse_within("1048577", &range), Err(error.clone()));
        assert_eq!(error.to_string(), "out of range: give 4KiB to 1MiB");
    }

    #[test]
    fn a_size_is_shown_in_its_largest_exact_unit() {
        for (bytes, text) in [
            (0, "0"),
            (1000, "1000"),
            (1025, "1025"),
            (64 * KIB, "64KiB"),
            (1536 * KIB, "1536KiB"),
            (MIB, "1MiB"),
            (3 * GIB, "3GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(number in 0..=usize::MAX >> 30, shift in 0..=30u32) {
            let size = Size(number << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in "[0-9KMGiB.+ -]{0,24}") {
            if let Ok(size) = text.parse::<Size>() {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }
    }
}
