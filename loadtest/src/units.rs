//! Quantities as people read them. Times are milliseconds unless a name says otherwise; sizes are
//! binary (1 KiB = 1024 bytes).

/// `nanoseconds` in milliseconds, with the digits that matter at its size: at most six characters
/// below 100 s.
pub(crate) fn millis(nanoseconds: f64) -> String {
    let millis = nanoseconds / 1e6;
    format!("{millis:.*}", decimals(millis))
}

/// As [`millis`], with its sign: for differences.
pub(crate) fn signed_millis(nanoseconds: f64) -> String {
    let millis = nanoseconds / 1e6;
    format!("{millis:+.*}", decimals(millis))
}

/// `nanoseconds` in the unit that keeps them short, as `27.1 µs`: for text that is no table.
pub(crate) fn span(nanoseconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let fits = |(size, _): &&(f64, &str)| nanoseconds.abs() >= *size;
    let (size, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
    let value = nanoseconds / size;
    let decimals = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}\u{a0}{unit}")
}

/// As [`span`], with its sign: for differences.
pub(crate) fn signed_span(nanoseconds: f64) -> String {
    let text = span(nanoseconds.abs());
    match nanoseconds {
        n if n < 0.0 => format!("\u{2212}{text}"),
        _ => format!("+{text}"),
    }
}

/// `bytes` in the unit that keeps it below 1024, one decimal.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `bytes` of a setting: in the largest unit that keeps it whole.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// A number with three digits that matter, as `0.123`, `12.3` or `12345`.
pub(crate) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn decimals(value: f64) -> usize {
    match value.abs() {
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1_000.0 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_width() {
        assert_eq!(millis(271_300.0), "0.271");
        assert_eq!(millis(31_204_000.0), "31.20");
        assert_eq!(millis(123_456_000.0), "123.5");
        assert_eq!(millis(10_000_000_000.0), "10000");
        assert_eq!(signed_millis(27_000.0), "+0.027");
        assert_eq!(signed_millis(-27_000.0), "-0.027");
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        let spans = [0.0, 999.0, 27_140.0, 1e6, 131_204_000.0, 2.5e9].map(span);
        let spans = spans.map(|text| text.replace('\u{a0}', " "));
        assert_eq!(
            spans,
            ["0 ns", "999 ns", "27.1 µs", "1 ms", "131 ms", "2.50 s"]
        );
        assert_eq!(signed_span(-1_500.0), "\u{2212}1.50\u{a0}µs");
        assert_eq!(signed_span(0.0), "+0\u{a0}ns");
    }

    #[test]
    fn settings_stay_whole_and_numbers_short() {
        assert_eq!(
            [64, 65_536, 4 << 20, 1_500].map(size),
            ["64 B", "64 KiB", "4 MiB", "1500 B"]
        );
        assert_eq!(
            [0.0344, 1.239, 12.34, 1_234.5].map(short),
            ["0.034", "1.24", "12.3", "1234"]
        );
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(16 << 20), "16.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
