//! Pseudo-random numbers that a seed repeats exactly, on every machine and in every version.

/// A SplitMix64 generator: small, fast, and fixed by this file alone, unlike a crate's generator,
/// whose sequence may change with its version. Not for secrets.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Starts the sequence that belongs to `key` under `seed`: equal inputs, equal sequence.
    pub fn keyed(seed: u64, key: &[u8]) -> Self {
        // FNV-1a folds the key; the generator's own mixing does the rest.
        let folded = key
            .iter()
            .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self(folded ^ seed.rotate_left(32))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        let remainder = self.next_u64() % bound as u64;
        usize::try_from(remainder).unwrap_or(0) // below `bound`, so it always fits
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Puts `items` into a random order, each order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_sequence() {
        // The published first outputs of SplitMix64 for seed 0.
        let mut seeded = Seeded::new(0);
        assert_eq!(seeded.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(seeded.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn keys_and_seeds_separate() {
        let first = |seed, key: &[u8]| Seeded::keyed(seed, key).next_u64();
        assert_eq!(first(1, b"a"), first(1, b"a"));
        assert_ne!(first(1, b"a"), first(1, b"b"));
        assert_ne!(first(1, b"a"), first(2, b"a"));
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Seeded::new(7).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
