//! The right side of a condition: what a figure is held against.

use std::str::FromStr;

use crate::units::{bytes, millis, short};

/// On which side of the bound a figure fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// The value that a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Nanoseconds.
    Time(f64),
    /// A number.
    Number(f64),
    /// A share, 1 for 100 %.
    Share(f64),
    /// Bytes.
    Memory(f64),
}

impl Op {
    /// As they are written; of two that begin alike, the longer one first.
    pub(super) const ALL: [(&'static str, Self); 4] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
    ];

    /// Whether `value` is on this side of `bound`.
    pub(super) fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
        }
    }
}

impl Bound {
    /// In the unit of its kind.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Time(value) | Self::Number(value) | Self::Share(value) | Self::Memory(value) => {
                value
            }
        }
    }

    /// `value`, in a unit that people read.
    pub(super) fn shown(self, value: f64) -> String {
        match self {
            Self::Time(_) => format!("{} ms", millis(value)),
            Self::Number(_) => short(value).trim_end_matches(".000").to_owned(),
            Self::Share(_) => format!("{} %", short(value * 100.0)),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "memory is whole and positive"
            )]
            Self::Memory(_) => bytes(value as u64),
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || ".-+".contains(c));
        let number = text[..text.len() - unit.len()].parse::<f64>();
        let number = number.ok().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| format!("'{text}' is no value"))?;
        Ok(match unit.trim() {
            "" => Self::Number(number),
            "%" => Self::Share(number / 100.0),
            "ns" => Self::Time(number),
            "us" | "µs" => Self::Time(number * 1e3),
            "ms" => Self::Time(number * 1e6),
            "s" => Self::Time(number * 1e9),
            "B" => Self::Memory(number),
            "KiB" => Self::Memory(number * 1024.0),
            "MiB" => Self::Memory(number * 1024.0 * 1024.0),
            "GiB" => Self::Memory(number * 1024.0 * 1024.0 * 1024.0),
            unit => {
                return Err(format!(
                    "'{unit}' is no unit; there are ns, us, ms, s, %, B, KiB, MiB, GiB"
                ));
            }
        })
    }
}
