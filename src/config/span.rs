//! Spans of time: `5s`, `500ms`, `1m30s`, and `off` where a bound may be absent.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

/// A length of time, always typed with its unit; shown without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Reads a span and holds it against `bounds`.
    ///
    /// # Errors
    ///
    /// What [`Span::from_str`] refuses, and a span that `bounds` exclude.
    pub fn parse_within(text: &str, bounds: Bounds) -> Result<Self, SpanError> {
        if text == OFF {
            return Err(SpanError::Off(bounds));
        }
        let span: Self = text.parse()?;
        if span < bounds.from || bounds.to < span {
            return Err(SpanError::Range(bounds));
        }
        bounds.in_steps(span)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        // humantime takes a bare 0.
        if text == "0" {
            return Err(SpanError::NoUnit(0));
        }
        // humantime panics where a carry overflows the seconds; this keeps their sum far below.
        let mut runs = text.split(|c: char| !c.is_ascii_digit());
        if text.len() > LONGEST_TEXT || runs.any(|run| run.len() > LONGEST_NUMBER) {
            return Err(SpanError::TooLarge);
        }
        match humantime::parse_duration(text) {
            Ok(duration) => Ok(Self(duration)),
            Err(humantime::DurationError::UnknownUnit { unit, value, .. }) if unit.is_empty() => {
                Err(SpanError::NoUnit(value))
            }
            Err(humantime::DurationError::UnknownUnit { unit, .. }) => Err(SpanError::Unit(unit)),
            Err(humantime::DurationError::NumberOverflow) => Err(SpanError::TooLarge),
            Err(_) => Err(SpanError::Syntax),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let secs = self.0.as_secs();
        let nanos = u64::from(self.0.subsec_nanos());
        for (count, unit) in [
            (secs / 86_400, "d"),
            (secs / 3600 % 24, "h"),
            (secs / 60 % 60, "m"),
            (secs % 60, "s"),
            (nanos / 1_000_000, "ms"),
            (nanos / 1000 % 1000, "us"),
            (nanos % 1000, "ns"),
        ] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

/// A bound on time that may be `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<Span>);

impl Limit {
    /// No bound.
    pub const OFF: Self = Self(None);

    /// Reads `off`, or a span that `bounds` take.
    ///
    /// # Errors
    ///
    /// What [`Span::parse_within`] refuses, except `off`.
    pub fn parse_within(text: &str, bounds: Bounds) -> Result<Self, SpanError> {
        if text == OFF {
            return Ok(Self::OFF);
        }
        match Span::parse_within(text, bounds) {
            Ok(span) => Ok(Self(Some(span))),
            Err(SpanError::Range(bounds)) => Err(SpanError::RangeOrOff(bounds)),
            Err(error) => Err(error),
        }
    }

    /// The bound as the standard library has it.
    pub fn duration(self) -> Option<Duration> {
        self.0.map(|span| span.0)
    }
}

impl From<Option<Duration>> for Limit {
    fn from(duration: Option<Duration>) -> Self {
        Self(duration.map(Span))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

/// The spans that a flag takes, its ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The shortest.
    pub from: Span,
    /// The longest.
    pub to: Span,
    /// A span is a multiple of this; never zero.
    pub step: Span,
}

impl Bounds {
    fn in_steps(self, span: Span) -> Result<Span, SpanError> {
        match span.0.as_nanos().checked_rem(self.step.0.as_nanos()) {
            Some(0) => Ok(span),
            _ => Err(SpanError::Step(self.step)),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// Why a text is no span of time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanError {
    /// A number alone.
    #[error("a duration needs a unit, for example {0}s or {0}m")]
    NoUnit(u64),
    /// A unit that nobody knows.
    #[error("'{0}' is no unit of time: write ms, s, m, h or d")]
    Unit(String),
    /// Anything else that is no duration.
    #[error("a duration is a number and its unit, for example 15s, 500ms or 1m30s")]
    Syntax,
    /// A number that cannot be held.
    #[error("too long a duration, or finer than a nanosecond")]
    TooLarge,
    /// `off` where there must be a bound.
    #[error("this bound cannot be off: give {0}")]
    Off(Bounds),
    /// Outside what the flag takes.
    #[error("out of range: give {0}")]
    Range(Bounds),
    /// Outside what the flag takes, which may be off.
    #[error("out of range: give {0}, or off")]
    RangeOrOff(Bounds),
    /// Finer than can be kept.
    #[error("too fine: give a multiple of {0}")]
    Step(Span),
}

const OFF: &str = "off";
const LONGEST_TEXT: usize = 64; // bytes
const LONGEST_NUMBER: usize = 10; // digits

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        from: Span::secs(1),
        to: Span::secs(3600),
        step: Span::secs(1),
    };

    #[test]
    fn spans_are_read_with_their_unit() {
        for (text, span) in [
            ("0s", Span::secs(0)),
            ("5s", Span::secs(5)),
            ("0.5s", Span::millis(500)),
            ("500ms", Span::millis(500)),
            ("1m30s", Span::secs(90)),
            ("1h 1m", Span::secs(3660)),
            ("365d", Span::secs(365 * 86_400)),
            ("250us", Span(Duration::from_micros(250))),
        ] {
            assert_eq!(text.parse(), Ok(span), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for (text, error) in [
            ("0", SpanError::NoUnit(0)),
            ("00", SpanError::NoUnit(0)),
            ("15", SpanError::NoUnit(15)),
            ("1m30", SpanError::NoUnit(30)),
            ("15x", SpanError::Unit("x".to_owned())),
            ("", SpanError::Syntax),
            ("s", SpanError::Syntax),
            ("-5s", SpanError::Syntax),
            ("off", SpanError::Syntax),
            ("5s!", SpanError::Syntax),
            ("0.1ns", SpanError::TooLarge),
            ("18446744073709551615s1000ms", SpanError::TooLarge),
            ("584542046090y23812800s999ms1ms", SpanError::TooLarge),
        ] {
            assert_eq!(text.parse::<Span>(), Err(error), "{text}");
        }
    }

    #[test]
    fn bounds_include_their_ends_and_hold_to_their_step() {
        for (text, result) in [
            ("1s", Ok(Span::secs(1))),
            ("1h", Ok(Span::secs(3600))),
            ("0s", Err(SpanError::Range(BOUNDS))),
            ("3601s", Err(SpanError::Range(BOUNDS))),
            ("1500ms", Err(SpanError::Step(Span::secs(1)))),
            ("off", Err(SpanError::Off(BOUNDS))),
        ] {
            assert_eq!(Span::parse_within(text, BOUNDS), result, "{text}");
        }
    }

    #[test]
    fn a_limit_may_be_off() {
        for (text, result) in [
            ("off", Ok(Limit::OFF)),
            ("30s", Ok(Limit(Some(Span::secs(30))))),
            ("0s", Err(SpanError::RangeOrOff(BOUNDS))),
            ("OFF", Err(SpanError::Syntax)),
            ("30", Err(SpanError::NoUnit(30))),
        ] {
            assert_eq!(Limit::parse_within(text, BOUNDS), result, "{text}");
        }
        assert_eq!(Limit::OFF.to_string(), "off");
        assert_eq!(Limit::OFF.duration(), None);
    }

    #[test]
    fn spans_are_shown_without_spaces() {
        for (span, text) in [
            (Span::secs(0), "0s"),
            (Span::secs(90), "1m30s"),
            (Span::secs(25 * 3600), "1d1h"),
            (Span::millis(1500), "1s500ms"),
            (Span(Duration::from_nanos(1_002_003)), "1ms2us3ns"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(secs in 0..100_000_000_000u64, nanos in 0..1_000_000_000u32) {
            let span = Span(Duration::new(secs, nanos));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in "([0-9]{0,20}(ns|ms|s|m|h|d|y| |\\.|x)){0,6}") {
            drop(text.parse::<Span>()); // of any size; parse_within bounds it
        }
    }
}
