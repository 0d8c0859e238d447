//! What both ends of a connection do, fixed by the seed and the connection's number.

use crate::seed::Seeded;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// That which dialled.
    Client,
    /// That which accepted, behind the proxy.
    Upstream,
}

impl Side {
    /// The other end.
    pub(crate) fn peer(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    /// The direction of what this end receives, as reports name it.
    pub(crate) fn receives(self) -> &'static str {
        match self {
            Self::Client => "to the client",
            Self::Upstream => "to the upstream",
        }
    }
}

/// The part of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Bytes that it sends, in all.
    pub(crate) bytes: u64,
    /// The largest piece that it writes, bytes.
    pub(crate) write: usize,
    /// The largest piece that it reads, bytes.
    pub(crate) read: usize,
    /// It pauses after one write in ten times so many, some milliseconds; 0 for never.
    pub(crate) write_pauses: usize,
    /// The same for reads: a slow reader.
    pub(crate) read_pauses: usize,
    /// It sends its second half only when the other has sent FIN.
    pub(crate) outlives: bool,
    /// It resets the connection instead of sending its last byte.
    pub(crate) resets: bool,
}

/// The parts of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    client: Part,
    upstream: Part,
}

impl Script {
    /// The script of a connection.
    pub(crate) fn new(seed: u64, connection: u64) -> Self {
        let mut seeded = Seeded::keyed(seed, &connection.to_le_bytes());
        let [client, upstream] = [Part::new(&mut seeded), Part::new(&mut seeded)];
        let mut script = Self {
            client: client.in_time(upstream.bytes),
            upstream: upstream.in_time(client.bytes),
        };
        // Of ten connections, four end as it comes, two each way half-closed, one each way reset.
        match seeded.below(10) {
            0 | 1 => script.client.outlives = true,
            2 | 3 => script.upstream.outlives = true,
            4 => script.client.resets = true,
            5 => script.upstream.resets = true,
            _ => {}
        }
        script
    }

    /// The part of `side`.
    pub(crate) fn part(&self, side: Side) -> Part {
        match side {
            Side::Client => self.client,
            Side::Upstream => self.upstream,
        }
    }
}

impl Part {
    fn new(seeded: &mut Seeded) -> Self {
        // Each size class as likely as the others, from nothing to what fills every buffer.
        let most = *seeded.pick(&[1, 100, 4 << 10, 64 << 10, 512 << 10, 4 << 20]);
        let pieces = [7, 1_000, 16 << 10, 256 << 10];
        Self {
            bytes: seeded.below(most) as u64,
            write: *seeded.pick(&pieces),
            read: *seeded.pick(&pieces),
            write_pauses: *seeded.pick(&[0, 0, 2, 10]),
            read_pauses: *seeded.pick(&[0, 0, 0, 4]),
            outlives: false,
            resets: false,
        }
    }

    /// Many tiny pieces take for ever, and tell no more than some of them.
    fn in_time(self, receives: u64) -> Self {
        let floor = |bytes: u64| usize::try_from(bytes.div_ceil(2_000)).unwrap_or(usize::MAX);
        Self {
            write: self.write.max(floor(self.bytes)),
            read: self.read.max(floor(receives)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_and_the_number_fix_a_script() {
        assert_eq!(Script::new(1, 7), Script::new(1, 7));
        assert_ne!(Script::new(1, 7), Script::new(1, 8));
        assert_ne!(Script::new(1, 7), Script::new(2, 7));
    }

    #[test]
    fn no_end_has_more_than_some_thousand_pieces_to_move() {
        for script in (0..1_000).map(|connection| Script::new(3, connection)) {
            for side in [Side::Client, Side::Upstream] {
                let (own, peer) = (script.part(side), script.part(side.peer()));
                assert!(own.bytes / own.write as u64 <= 2_000, "{own:?}");
                assert!(peer.bytes / own.read as u64 <= 2_000, "{own:?}");
            }
        }
    }

    #[test]
    fn everything_comes_up() {
        let parts: Vec<Part> = (0..200)
            .map(|connection| Script::new(1, connection))
            .flat_map(|script| [script.client, script.upstream])
            .collect();
        let has = |what: fn(&Part) -> bool| assert!(parts.iter().any(what));
        has(|part| part.bytes == 0);
        has(|part| part.bytes > 1 << 20);
        has(|part| part.outlives);
        has(|part| part.resets);
        has(|part| part.read_pauses > 0);
        has(|part| part.write_pauses > 0);
    }
}
