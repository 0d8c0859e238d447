//! The IDs of traces, and what they say of their size.

use std::fmt;
use std::str::FromStr;

use super::MESSAGE_LIMIT;
use crate::seed::Seeded;

/// The smallest answer with a trace, bytes.
pub const SMALLEST_ANSWER: usize = 1024;
/// The largest answer with a trace, bytes: what one message may hold.
pub const LARGEST_ANSWER: usize = MESSAGE_LIMIT;

/// A trace ID. Its first four bytes, read as a big-endian number, are the size of the answer where
/// they lie in [`SMALLEST_ANSWER`]`..=`[`LARGEST_ANSWER`]; any other ID has a size of its own from
/// 1 KiB to 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The ID of the `number`th trace whose answer is `size` bytes, brought into the range that
    /// the stand-in serves. The answer is up to 48 bytes smaller, never larger.
    pub fn sized(size: usize, number: u64) -> Self {
        let size = size.clamp(SMALLEST_ANSWER, LARGEST_ANSWER);
        let size = u32::try_from(size).unwrap_or(u32::MAX); // 16 MiB fits
        let mut id = [0; 16];
        id[..4].copy_from_slice(&size.to_be_bytes());
        id[8..].copy_from_slice(&number.to_be_bytes());
        Self(id)
    }

    /// The ID in a request. Short IDs are padded in front, as Tempo pads them; `None` when `bytes`
    /// is empty or longer than an ID.
    pub fn from_request(bytes: &[u8]) -> Option<Self> {
        let start = 16_usize
            .checked_sub(bytes.len())
            .filter(|&start| start < 16)?;
        let mut id = [0; 16];
        id[start..].copy_from_slice(bytes);
        Some(Self(id))
    }

    /// Its bytes, as in a request.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The size of its answer under any seed, bytes.
    pub(crate) fn answer_size(self) -> usize {
        let [a, b, c, d, ..] = self.0;
        let asked = u32::from_be_bytes([a, b, c, d]) as usize;
        if (SMALLEST_ANSWER..=LARGEST_ANSWER).contains(&asked) {
            return asked;
        }
        SMALLEST_ANSWER << Seeded::keyed(0, &self.0).below(11)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for TraceId {
    type Err = InvalidTraceId;

    fn from_str(text: &str) -> Result<Self, InvalidTraceId> {
        if text.is_empty() || text.len() > 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidTraceId(text.to_owned()));
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidTraceId(text.to_owned()))?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Not a trace ID: 1 to 32 hexadecimal digits.
#[derive(Debug)]
pub struct InvalidTraceId(String);

impl fmt::Display for InvalidTraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a trace ID (1 to 32 hexadecimal digits)",
            self.0
        )
    }
}

impl std::error::Error for InvalidTraceId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_has_a_size() {
        let id: TraceId = "ffffffff00000000000000000000abcd".parse().unwrap();
        assert!((SMALLEST_ANSWER..=1 << 20).contains(&id.answer_size()));
    }

    #[test]
    fn ids_read_as_written() {
        let id = TraceId::sized(5_000, 77);
        assert_eq!(id.to_string().parse::<TraceId>().unwrap(), id);
        assert_eq!(TraceId::from_request(id.as_bytes()), Some(id));
        assert_eq!(TraceId::from_request(&[0xab]), "ab".parse().ok());
        assert_eq!(TraceId::from_request(&[]), None);
        assert_eq!(TraceId::from_request(&[0; 17]), None);
        for bad in ["", "xyz", "+1", &"a".repeat(33)] {
            bad.parse::<TraceId>().unwrap_err();
        }
    }
}
