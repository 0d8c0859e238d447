//! Streams that carry their own proof: units of one size, each with its number and the same body.
//!
//! A unit is its number (8 bytes) and a body from [`pattern`]. A byte that is changed, lost,
//! doubled, displaced, or of another stream shows at once, for the price of one comparison with
//! memory that stays in the cache; making the bytes anew would cost as much as moving them.

use std::fmt;
use std::sync::LazyLock;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::pattern;

/// Size of a unit of bulk. A prime, so that no displacement by whole buffers, pages or segments
/// leaves the bodies in step; large, so that a unit is worth a system call.
pub(crate) const BULK: usize = 131_071; // bytes

const NUMBER: usize = 8; // bytes
const END: u64 = u64::MAX;

/// The bytes of one stream's units.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// What follows the number.
    rest: Bytes,
}

impl Body {
    /// The body of units of `size` bytes in stream number `stream`.
    ///
    /// # Panics
    /// When `size` is below 8; the flags keep it above.
    pub(crate) fn new(size: usize, stream: u64) -> Self {
        /// All streams begin somewhere in this one, so that few cache lines serve many streams.
        static TABLE: LazyLock<Bytes> = LazyLock::new(|| filled(0, 2 * BULK));
        assert!(size >= NUMBER, "a unit holds its number");
        let length = size - NUMBER;
        if size > BULK {
            return Self {
                rest: filled(stream, length),
            };
        }
        let start = usize::try_from(stream.wrapping_mul(7_919) % BULK as u64).unwrap_or(0);
        Self {
            rest: TABLE.slice(start..start + length),
        }
    }

    /// Size of a unit, bytes.
    pub(crate) fn size(&self) -> usize {
        NUMBER + self.rest.len()
    }

    /// Sends the unit of this `number`.
    ///
    /// # Errors
    /// As the writer's.
    pub(crate) async fn send(
        &self,
        number: u64,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        let number = number.to_le_bytes();
        let mut unit = number.as_slice().chain(self.rest.clone());
        writer.write_all_buf(&mut unit).await
    }
}

fn filled(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    pattern::fill(seed, 0, &mut bytes);
    bytes.into()
}

/// Sends the end of a stream, with what the sender found in the stream that it received.
///
/// # Errors
/// As the writer's.
pub(crate) async fn send_end(
    fault: Option<Fault>,
    writer: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut bytes = [0; NUMBER + TRAILER];
    bytes[..8].copy_from_slice(&END.to_le_bytes());
    if let Some(fault) = fault {
        bytes[8..16].copy_from_slice(&(fault.offset + 1).to_le_bytes());
        bytes[16..18].copy_from_slice(&[fault.expected, fault.received]);
    }
    writer.write_all(&bytes).await
}

const TRAILER: usize = 16; // bytes after the number of an end

/// Where a stream is not as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The first wrong byte, counted from 0 in the whole stream.
    pub(crate) offset: u64,
    /// The byte that was sent.
    pub(crate) expected: u8,
    /// The byte that came.
    pub(crate) received: u8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "byte {} is {:#04x} instead of {:#04x}",
            self.offset, self.received, self.expected
        )
    }
}

/// Checks a stream as it comes, in pieces of any size.
#[derive(Debug)]
pub(crate) struct Checker {
    body: Body,
    /// The unit that is coming.
    number: u64,
    /// Bytes of it that have come.
    at: usize,
    head: [u8; NUMBER],
    trailer: Vec<u8>,
}

impl Checker {
    /// At the beginning of a stream.
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            number: 0,
            at: 0,
            head: [0; NUMBER],
            trailer: Vec::new(),
        }
    }

    /// Takes what has come, and returns how many units it completed.
    ///
    /// # Errors
    /// Where the stream differs.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<u64, Fault> {
        let first = self.number;
        while !bytes.is_empty() {
            if self.at < NUMBER {
                let (now, rest) = bytes.split_at(bytes.len().min(NUMBER - self.at));
                self.head[self.at..self.at + now.len()].copy_from_slice(now);
                self.at += now.len();
                bytes = rest;
                if self.at == NUMBER && self.head != END.to_le_bytes() {
                    let start = self.offset() - NUMBER as u64;
                    same(start, &self.number.to_le_bytes(), &self.head)?;
                }
            } else if self.head == END.to_le_bytes() {
                self.trailer.extend_from_slice(bytes);
                return Ok(self.number - first);
            } else {
                let from = self.at - NUMBER;
                let expected = &self.body.rest[from..];
                let (now, rest) = bytes.split_at(bytes.len().min(expected.len()));
                same(self.offset(), &expected[..now.len()], now)?;
                self.at += now.len();
                bytes = rest;
            }
            if self.at == self.body.size() && self.head != END.to_le_bytes() {
                (self.at, self.number) = (0, self.number + 1);
            }
        }
        Ok(self.number - first)
    }

    /// What the sender said at the end of the stream: the fault that it found in what it received.
    /// `None` before the end.
    pub(crate) fn end(&self) -> Option<Option<Fault>> {
        let trailer: &[u8; TRAILER] = self.trailer.first_chunk()?;
        let offset = u64::from_le_bytes(*trailer.first_chunk()?);
        Some(offset.checked_sub(1).map(|offset| Fault {
            offset,
            expected: trailer[8],
            received: trailer[9],
        }))
    }

    fn offset(&self) -> u64 {
        self.number * self.body.size() as u64 + self.at as u64
    }
}

fn same(offset: u64, expected: &[u8], received: &[u8]) -> Result<(), Fault> {
    if expected == received {
        return Ok(());
    }
    let mut pairs = expected.iter().zip(received).enumerate();
    match pairs.find(|(_, (a, b))| a != b) {
        None => Ok(()),
        Some((place, (&expected, &received))) => Err(Fault {
            offset: offset + place as u64,
            expected,
            received,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(size: usize, stream: u64, units: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..units {
            Body::new(size, stream)
                .send(number, &mut bytes)
                .await
                .unwrap();
        }
        bytes
    }

    fn fed(size: usize, stream: u64, bytes: &[u8], piece: usize) -> Result<u64, Fault> {
        let mut checker = Checker::new(Body::new(size, stream));
        bytes.chunks(piece).map(|piece| checker.feed(piece)).sum()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pieces_of_any_size_are_checked() {
        for size in [8, 9, 64, 10_000, BULK, BULK + 1] {
            let bytes = sent(size, 5, 3).await;
            assert_eq!(bytes.len(), 3 * size);
            for piece in [7, 8, 100, 65_536, usize::MAX] {
                assert_eq!(fed(size, 5, &bytes, piece), Ok(3), "{size} {piece}");
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_kind_of_damage_is_found_at_its_place() {
        let good = sent(1_000, 5, 100).await;
        let mut flipped = good.clone();
        flipped[77_777] ^= 1;
        let fault = fed(1_000, 5, &flipped, 4_096).unwrap_err();
        assert_eq!((fault.offset, fault.expected ^ fault.received), (77_777, 1));

        let lost = [&good[..50_000], &good[51_000..]].concat(); // a whole unit
        assert_eq!(fed(1_000, 5, &lost, 4_096).unwrap_err().offset, 50_000);
        let doubled = [&good[..50_500], &good[50_400..]].concat();
        let offset = fed(1_000, 5, &doubled, 4_096).unwrap_err().offset;
        assert!((50_500..50_510).contains(&offset), "{offset}");

        let other = sent(1_000, 6, 100).await;
        let mut swapped = good.clone();
        swapped[30_100..30_200].copy_from_slice(&other[30_100..30_200]);
        let offset = fed(1_000, 5, &swapped, 4_096).unwrap_err().offset;
        assert!((30_100..30_110).contains(&offset), "{offset}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_end_tells_what_the_other_side_found() {
        let fault = Fault {
            offset: 0,
            expected: 1,
            received: 2,
        };
        for said in [None, Some(fault)] {
            let mut bytes = sent(100, 0, 2).await;
            send_end(said, &mut bytes).await.unwrap();
            for piece in [1, 3, 1_000] {
                let mut checker = Checker::new(Body::new(100, 0));
                for piece in bytes.chunks(piece) {
                    assert_eq!(checker.end(), None);
                    checker.feed(piece).unwrap();
                }
                assert_eq!(checker.end(), Some(said));
            }
        }
    }
}
