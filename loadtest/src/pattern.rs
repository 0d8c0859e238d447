//! Bytes that their seed and their offset fix, so that a receiver can check any part of a stream
//! without keeping it.

use crate::seed::Seeded;

/// Fills `bytes` with the stream of `seed` from `offset` on. Pieces join without a seam.
pub fn fill(seed: u64, offset: u64, bytes: &mut [u8]) {
    let skip = offset % 8;
    let mut word = offset / 8;
    let (head, rest) = bytes.split_at_mut(bytes.len().min(((8 - skip) % 8) as usize));
    if !head.is_empty() {
        let from = skip as usize;
        head.copy_from_slice(&word_at(seed, word)[from..from + head.len()]);
        word += 1;
    }
    for chunk in rest.chunks_mut(8) {
        chunk.copy_from_slice(&word_at(seed, word)[..chunk.len()]);
        word += 1;
    }
}

/// Where `bytes`, received at `offset`, first differ from the stream of `seed`: an offset in the
/// whole stream.
pub fn first_difference(seed: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
    let mut expected = [0; 4096];
    let mut at = offset;
    for chunk in bytes.chunks(expected.len()) {
        let expected = &mut expected[..chunk.len()];
        fill(seed, at, expected);
        if let Some(place) = expected.iter().zip(chunk).position(|(a, b)| a != b) {
            return Some(at + place as u64);
        }
        at += chunk.len() as u64;
    }
    None
}

fn word_at(seed: u64, index: u64) -> [u8; 8] {
    Seeded::new(seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .next_u64()
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_without_a_seam() {
        let mut whole = [0; 500];
        fill(3, 0, &mut whole);
        for piece in [1, 3, 7, 8, 9, 64, 499] {
            let mut joined = Vec::new();
            while joined.len() < whole.len() {
                let mut part = vec![0; piece.min(whole.len() - joined.len())];
                fill(3, joined.len() as u64, &mut part);
                joined.extend(part);
            }
            assert_eq!(joined, whole, "pieces of {piece}");
        }
    }

    #[test]
    fn a_flipped_byte_is_found_at_its_offset() {
        let mut bytes = vec![0; 10_000];
        fill(3, 77, &mut bytes);
        assert_eq!(first_difference(3, 77, &bytes), None);
        bytes[8_000] ^= 1;
        assert_eq!(first_difference(3, 77, &bytes), Some(8_077));
        assert!(first_difference(4, 77, &bytes).is_some());
    }
}
