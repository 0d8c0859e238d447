//! Whether two answers are the same, byte for byte.

use bytes::Bytes;

/// The expected answer of each call: the one that came directly before the run.
#[derive(Debug)]
pub(super) struct Expected(Vec<Bytes>);

impl Expected {
    /// The answers, in the order of the calls.
    pub(super) fn new(answers: Vec<Bytes>) -> Self {
        Self(answers)
    }

    /// How `answer` differs from the expected one of the call at `place`; `None` when it does not.
    ///
    /// # Panics
    /// When there is no such call.
    pub(super) fn difference(&self, place: usize, answer: &[u8]) -> Option<Mismatch> {
        let expected = &self.0[place];
        let offset = first_difference(expected, answer)?;
        Some(Mismatch {
            offset,
            expected: expected.len(),
            received: answer.len(),
        })
    }
}

/// Where two answers part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The first byte that differs, counted from 0.
    pub(super) offset: usize,
    /// Length of the expected answer, bytes.
    pub(super) expected: usize,
    /// Length of the answer that came, bytes.
    pub(super) received: usize,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            offset,
            expected,
            received,
        } = self;
        write!(
            f,
            "the answer differs from the direct one at byte {offset} of {expected}"
        )?;
        match expected == received {
            true => Ok(()),
            false => write!(f, "; it has {received} bytes"),
        }
    }
}

/// The first place where `a` and `b` differ; the end of the shorter one when it begins the other.
pub(super) fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4096; // bytes; whole blocks compare far faster than single bytes
    if a == b {
        return None;
    }
    let blocks = a.chunks(BLOCK).zip(b.chunks(BLOCK));
    let start = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let (a, b) = (
        a.get(start..).unwrap_or_default(),
        b.get(start..).unwrap_or_default(),
    );
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    Some(start + same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_wherever_it_is() {
        let whole = vec![7; 20_000];
        assert_eq!(first_difference(&whole, &whole), None);
        for at in [0, 1, 4_095, 4_096, 8_191, 19_999] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(first_difference(&whole, &flipped), Some(at));
        }
        for length in [0, 1, 4_096, 8_192, 19_999] {
            assert_eq!(first_difference(&whole, &whole[..length]), Some(length));
            assert_eq!(first_difference(&whole[..length], &whole), Some(length));
        }
        assert_eq!(first_difference(&[], &[]), None);
    }

    #[test]
    fn a_mismatch_says_where() {
        let expected = Expected::new(vec![Bytes::from_static(b"first")]);
        assert_eq!(expected.difference(0, b"first"), None);
        assert_eq!(
            expected.difference(0, b"fist").unwrap().to_string(),
            "the answer differs from the direct one at byte 2 of 5; it has 4 bytes"
        );
    }
}
