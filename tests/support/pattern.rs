//! Bytes that a seed fixes: a receiver can check each of them without having kept any.

use std::{
    io::{Read, Write},
    ops::Range,
    thread,
};

/// A stream of bytes, different for every seed.
pub(crate) struct Pattern {
    /// The first [`PERIOD`] bytes, and what follows them, so that every chunk is one slice.
    bytes: Vec<u8>,
    seed: u64,
}

/// After so many bytes the stream repeats. A prime: no buffer, pipe or page is a multiple, so that
/// a chunk lost, doubled or out of place shows.
const PERIOD: usize = 65_521;

/// The longest chunk that is written or read at once.
const LONGEST_CHUNK: usize = 256 * 1024;

impl Pattern {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut bytes: Vec<u8> = (0..PERIOD.div_ceil(8))
            .flat_map(|_| random.next_u64().to_le_bytes())
            .collect();
        bytes.truncate(PERIOD);
        while bytes.len() < PERIOD + LONGEST_CHUNK {
            let more = (PERIOD + LONGEST_CHUNK - bytes.len()).min(PERIOD);
            bytes.extend_from_within(..more);
        }
        Self { bytes, seed }
    }

    /// `count` bytes from `offset` on, at most [`LONGEST_CHUNK`].
    pub(crate) fn slice(&self, offset: usize, count: usize) -> &[u8] {
        let start = offset % PERIOD;
        &self.bytes[start..start + count]
    }

    /// Writes a part of the stream in chunks of random sizes.
    pub(crate) fn send(&self, to: impl Write, range: Range<usize>) {
        self.send_in(to, range, 1..=LONGEST_CHUNK);
    }

    /// Writes a part of the stream in chunks of random sizes within `chunks`.
    pub(crate) fn send_in(
        &self,
        mut to: impl Write,
        range: Range<usize>,
        chunks: std::ops::RangeInclusive<usize>,
    ) {
        let mut random = Random::new(self.seed ^ 1);
        let mut offset = range.start;
        while offset < range.end {
            let count = random
                .within(*chunks.start(), *chunks.end())
                .min(range.end - offset);
            if let Err(error) = to.write_all(self.slice(offset, count)) {
                panic!(
                    "the bytes {offset}..{} of {range:?}: {error}",
                    offset + count
                );
            }
            offset += count;
        }
    }

    /// Reads a part of the stream in chunks of random sizes, and checks every byte.
    ///
    /// # Panics
    /// A byte is wrong or missing.
    pub(crate) fn receive(&self, mut from: impl Read, range: Range<usize>) {
        let mut random = Random::new(self.seed ^ 2);
        let mut space = vec![0; LONGEST_CHUNK];
        let mut offset = range.start;
        while offset < range.end {
            let most = random.within(1, LONGEST_CHUNK).min(range.end - offset);
            let count = match from.read(&mut space[..most]) {
                Ok(0) => panic!("the stream ended at {offset} of {range:?}"),
                Ok(count) => count,
                Err(error) => panic!("at {offset} of {range:?}: {error}"),
            };
            self.check(offset, &space[..count]);
            offset += count;
        }
    }

    /// Sends a part of the stream from one end, and reads it at the other.
    ///
    /// # Panics
    /// A byte is wrong or missing.
    pub(crate) fn pass(&self, from: impl Write + Send, to: impl Read, range: Range<usize>) {
        thread::scope(|scope| {
            scope.spawn(|| self.send(from, range.clone()));
            self.receive(to, range.clone());
        });
    }

    /// Checks bytes received from `offset` on.
    ///
    /// # Panics
    /// One of them is wrong.
    pub(crate) fn check(&self, offset: usize, received: &[u8]) {
        for (index, received) in received.chunks(LONGEST_CHUNK).enumerate() {
            let offset = offset + index * LONGEST_CHUNK;
            let expected = self.slice(offset, received.len());
            if expected != received {
                let wrong = expected
                    .iter()
                    .zip(received)
                    .position(|(a, b)| a != b)
                    .unwrap();
                panic!(
                    "seed {}: the byte {} is another's",
                    self.seed,
                    offset + wrong
                );
            }
        }
    }
}

/// Numbers that only look random (SplitMix64, Steele and others 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included; small ones more often than their share.
    pub(crate) fn within(&mut self, low: usize, high: usize) -> usize {
        let scale = 1 + (self.next_u64() % 18); // bits
        let number = self.next_u64() >> (64 - scale);
        let span = (high - low + 1) as u64;
        low + usize::try_from(number % span).unwrap()
    }
}
