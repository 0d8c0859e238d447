//! Counts, of workers and of what there may be at most, and switches.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use thiserror::Error;

use super::defaults;

/// A number of workers; `None` is `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers(pub Option<NonZeroUsize>);

impl FromStr for Workers {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        if text == AUTO {
            return Ok(Self(None));
        }
        let count = parse_count(text).map_err(|_| CountError::Workers)?;
        if defaults::WORKERS_RANGE.contains(&count.get()) {
            Ok(Self(Some(count)))
        } else {
            Err(CountError::Workers)
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str(AUTO),
        }
    }
}

/// A bound on a number that may be `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit(pub Option<NonZeroUsize>);

impl CountLimit {
    /// No bound.
    pub const OFF: Self = Self(None);
}

impl FromStr for CountLimit {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        if text == OFF {
            return Ok(Self::OFF);
        }
        match text.parse() {
            Ok(count) if defaults::COUNT_LIMIT_RANGE.contains(&count) => {
                Ok(Self(NonZeroUsize::new(count)))
            }
            _ => Err(CountError::Limit),
        }
    }
}

impl fmt::Display for CountLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

/// Reads a count of what takes descriptors.
///
/// # Errors
///
/// Anything but a whole number within [`defaults::COUNT_RANGE`].
pub fn parse_count(text: &str) -> Result<NonZeroUsize, CountError> {
    text.parse()
        .ok()
        .filter(|count: &NonZeroUsize| defaults::COUNT_RANGE.contains(&count.get()))
        .ok_or(CountError::Count)
}

/// Reads a backlog.
///
/// # Errors
///
/// Anything but a whole number from 1 to 65535.
pub fn parse_backlog(text: &str) -> Result<u16, CountError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(CountError::Backlog),
        Ok(backlog) => Ok(backlog),
    }
}

/// Reads a switch, as it stands in the environment.
///
/// # Errors
///
/// Anything but `true` and `false`.
pub fn parse_switch(text: &str) -> Result<bool, SwitchError> {
    text.parse().map_err(|_| SwitchError)
}

/// A switch that is neither on nor off.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("give true or false")]
pub struct SwitchError;

/// Why a text is no count.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountError {
    /// No number of workers.
    #[error(
        "give auto, or a whole number from {from} to {to}",
        from = defaults::WORKERS_RANGE.start(),
        to = defaults::WORKERS_RANGE.end(),
    )]
    Workers,
    /// No bound on a number.
    #[error(
        "give off, or a whole number from {from} to {to}",
        from = defaults::COUNT_LIMIT_RANGE.start(),
        to = defaults::COUNT_LIMIT_RANGE.end(),
    )]
    Limit,
    /// None at all, or more than any host has.
    #[error(
        "give a whole number from {from} to {to}; without the flag, the bound follows the host",
        from = defaults::COUNT_RANGE.start(),
        to = defaults::COUNT_RANGE.end(),
    )]
    Count,
    /// No backlog.
    #[error("give a whole number from 1 to 65535")]
    Backlog,
}

const AUTO: &str = "auto";
const OFF: &str = "off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_auto_or_few() {
        for (text, workers) in [("auto", None), ("1", Some(1)), ("256", Some(256))] {
            let workers = Workers(workers.and_then(NonZeroUsize::new));
            assert_eq!(text.parse(), Ok(workers), "{text}");
            assert_eq!(workers.to_string(), text);
        }
        for text in ["", "0", "257", "-1", "1.5", "two", "Auto"] {
            assert_eq!(text.parse::<Workers>(), Err(CountError::Workers), "{text}");
        }
        let advice = "give auto, or a whole number from 1 to 256";
        assert_eq!(CountError::Workers.to_string(), advice);
    }

    #[test]
    fn a_bound_on_a_number_may_be_off() {
        for (text, limit) in [("off", None), ("1", Some(1)), ("1000000", Some(1_000_000))] {
            let limit = CountLimit(limit.and_then(NonZeroUsize::new));
            assert_eq!(text.parse(), Ok(limit), "{text}");
            assert_eq!(limit.to_string(), text);
        }
        for text in ["", "0", "1000001", "-1", "1.5", "Off", "1/s"] {
            assert_eq!(text.parse::<CountLimit>(), Err(CountError::Limit), "{text}");
        }
    }

    #[test]
    fn a_count_is_not_zero_and_not_beyond_what_a_host_can_have() {
        assert_eq!(parse_count("1"), Ok(NonZeroUsize::MIN));
        assert!(parse_count("1000000000").is_ok());
        let beyond = [
            "1000000001",
            "9223372036854775809", // twice that is more than 64 bits hold
            "18446744073709551615",
            "99999999999999999999",
        ];
        for text in ["0", "", "-1", "1k"].into_iter().chain(beyond) {
            assert_eq!(parse_count(text), Err(CountError::Count), "{text}");
        }
    }

    #[test]
    fn a_switch_is_true_or_false() {
        assert_eq!(parse_switch("true"), Ok(true));
        assert_eq!(parse_switch("false"), Ok(false));
        for text in ["", "1", "yes", "True"] {
            assert_eq!(parse_switch(text), Err(SwitchError), "{text}");
        }
    }

    #[test]
    fn a_backlog_fits_its_type() {
        assert_eq!(parse_backlog("1"), Ok(1));
        assert_eq!(parse_backlog("65535"), Ok(65535));
        for text in ["0", "65536", "", "-1"] {
            assert_eq!(parse_backlog(text), Err(CountError::Backlog), "{text}");
        }
    }
}
