//! The bytes of one direction of one connection: blocks that say where they belong.
//!
//! A block is a header of 32 bytes (a mark and the length; connection and direction; position in
//! the stream; checksum of the payload) and a payload of up to 16 KiB. Receivers know every byte
//! beforehand; the header is for bytes that turn up where they do not belong.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::script::Side;
use crate::pattern;
use crate::seed::Seeded;

const MARK: u32 = u32::from_le_bytes(*b"soak");
const HEADER: usize = 32; // bytes
const LARGEST: usize = 16 * 1024; // bytes of a payload

/// Makes the bytes, from the first on.
#[derive(Debug)]
pub(crate) struct Stream {
    seeded: Seeded,
    /// Connection and direction.
    key: u64,
    /// The block that is being handed out, and how much of it is.
    block: Vec<u8>,
    taken: usize,
    /// Where the next block begins.
    position: u64,
}

impl Stream {
    /// What `sender` sends on `connection`.
    pub(crate) fn new(seed: u64, connection: u64, sender: Side) -> Self {
        let key = connection << 1 | u64::from(sender == Side::Upstream);
        Self {
            seeded: Seeded::keyed(seed, &key.to_be_bytes()),
            key,
            block: Vec::new(),
            taken: 0,
            position: 0,
        }
    }

    /// The next bytes, at least one and at most `most`; `advance` moves on.
    pub(crate) fn peek(&mut self, most: usize) -> &[u8] {
        if self.taken == self.block.len() {
            self.position += self.block.len() as u64;
            self.fill_block();
        }
        let rest = &self.block[self.taken..];
        &rest[..rest.len().min(most.max(1))]
    }

    /// Moves on by `count` bytes of those last peeked at.
    pub(crate) fn advance(&mut self, count: usize) {
        self.taken += count;
    }

    fn fill_block(&mut self) {
        let length = 1 + self.seeded.below(LARGEST);
        self.block.resize(HEADER + length, 0);
        self.taken = 0;
        let (header, payload) = self.block.split_at_mut(HEADER);
        pattern::fill(self.seeded.next_u64(), 0, payload);
        header[..4].copy_from_slice(&MARK.to_le_bytes());
        header[4..8].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_le_bytes());
        header[8..16].copy_from_slice(&self.key.to_le_bytes());
        header[16..24].copy_from_slice(&self.position.to_le_bytes());
        header[24..].copy_from_slice(&checksum(payload).to_le_bytes());
    }
}

/// Where bytes come from that are not where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Their connection.
    pub(crate) connection: u64,
    /// Whether they were on their way to the client.
    pub(crate) to_client: bool,
    /// Where in their stream their block begins.
    pub(crate) position: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.to_client { "client" } else { "upstream" };
        let Self {
            connection,
            position,
            ..
        } = self;
        write!(
            f,
            "connection {connection}, to the {to}, from byte {position} on"
        )
    }
}

/// The first whole block in `bytes`, and how many bytes before it.
pub(crate) fn find_block(bytes: &[u8]) -> Option<(usize, Origin)> {
    let mark = MARK.to_le_bytes();
    let starts = bytes.windows(HEADER).enumerate();
    let mut starts = starts.filter(|(_, window)| window.starts_with(&mark));
    starts.find_map(|(start, header)| {
        let number = |at: usize| header[at..].first_chunk().copied().map(u64::from_le_bytes);
        let length = u32::from_le_bytes(*header[4..].first_chunk()?) as usize;
        let payload = bytes.get(start + HEADER..)?.get(..length)?;
        let (key, position) = (number(8)?, number(16)?);
        (length > 0 && number(24)? == checksum(payload)).then_some((
            start,
            Origin {
                connection: key >> 1,
                to_client: key & 1 == 1,
                position,
            },
        ))
    })
}

/// Tells damage from displacement; not for secrets.
fn checksum(bytes: &[u8]) -> u64 {
    Seeded::keyed(0, bytes).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(connection: u64, sender: Side, count: usize, piece: usize) -> Vec<u8> {
        let mut stream = Stream::new(1, connection, sender);
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let most = piece.min(count - bytes.len());
            let piece = stream.peek(most);
            bytes.extend_from_slice(piece);
            let taken = piece.len();
            stream.advance(taken);
        }
        bytes
    }

    #[test]
    fn pieces_join_without_a_seam() {
        let whole = bytes(5, Side::Client, 100_000, usize::MAX);
        for piece in [1, 31, 33, 5_000] {
            assert!(bytes(5, Side::Client, 100_000, piece) == whole, "{piece}");
        }
        assert!(bytes(5, Side::Upstream, 100_000, 999) != whole);
        assert!(bytes(6, Side::Client, 100_000, 999) != whole);
    }

    #[test]
    fn displaced_bytes_tell_where_they_belong() {
        let stream = bytes(77, Side::Upstream, 100_000, usize::MAX);
        let first = find_block(&stream).unwrap();
        assert_eq!(first.0, 0);
        // From the middle of a block on: the next whole one is found.
        let (before, origin) = find_block(&stream[40_000..]).unwrap();
        assert_eq!((origin.connection, origin.to_client), (77, true));
        assert_eq!(origin.position, 40_000 + before as u64);
        assert_eq!(find_block(&[0; 50_000]), None);
        let mut damaged = stream[..HEADER + 20].to_vec();
        damaged[HEADER + 3] ^= 1;
        assert_eq!(find_block(&damaged), None);
    }
}
