//! Kinds of calls: the rows of the table.

use std::fmt;

use crate::units::size;

/// A kind of call. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `grpc.health.v1.Health/Check`: every 15 s on each connection, and the closest to a bare
    /// round trip.
    Health,
    /// `FindTraceByID` with an answer up to 256 KiB.
    SmallTrace,
    /// `FindTraceByID` with a larger answer.
    LargeTrace,
    /// `FindTraceByID` with an answer of the size that was asked for, bytes.
    Trace(usize),
    /// A health check while a large trace is on its way, on the same connection where there is
    /// only one: a check that takes over a second closes the connection.
    BusyHealth,
    /// `SearchRecent`.
    Search,
    /// `SearchTagsV2`.
    Tags,
    /// `SearchTagValuesV2`.
    TagValues,
    /// `QueryRange`.
    QueryRange,
}

/// Answers up to this size count as small, bytes.
const SMALL: usize = 256 * 1024;

impl Kind {
    /// All that a querier's mix has.
    pub(crate) const QUERIER: [Self; 8] = [
        Self::Health,
        Self::SmallTrace,
        Self::LargeTrace,
        Self::BusyHealth,
        Self::Search,
        Self::Tags,
        Self::TagValues,
        Self::QueryRange,
    ];

    /// The read of a trace whose answer has `size` bytes.
    pub(super) fn of_trace(size: usize) -> Self {
        match size {
            0..=SMALL => Self::SmallTrace,
            _ => Self::LargeTrace,
        }
    }

    /// Those of traces of `sizes` bytes, or of the default where there are none.
    pub(crate) fn of_sizes(sizes: &[usize]) -> Vec<Self> {
        const DEFAULT: [usize; 1] = [64 << 10];
        let sizes = if sizes.is_empty() { &DEFAULT } else { sizes };
        sizes.iter().copied().map(Self::Trace).collect()
    }

    /// How often a querier makes it, in one block.
    pub(super) fn share(self) -> usize {
        match self {
            Self::Health => 4,
            Self::SmallTrace | Self::Trace(_) => 8,
            Self::LargeTrace => 1,
            Self::BusyHealth => 6,
            Self::Search => 3,
            Self::Tags | Self::TagValues => 2,
            Self::QueryRange => 1,
        }
    }

    /// How often it comes in a block of single calls: all alike, but for large answers, which
    /// would make blocks so long that few fit into a run.
    pub(super) fn single_share(self) -> usize {
        match self.is_large() {
            true => 2,
            false => 8,
        }
    }

    /// Whether its answers keep a small machine busy for so long that nothing else can be seen
    /// beside it.
    pub(super) fn is_large(self) -> bool {
        match self {
            Self::LargeTrace => true,
            Self::Trace(size) => size > SMALL,
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Health => "health check",
            Self::SmallTrace => "trace, small",
            Self::LargeTrace => "trace, large",
            Self::Trace(bytes) => return f.pad(&format!("trace {}", size(*bytes))),
            Self::BusyHealth => "health, busy",
            Self::Search => "search",
            Self::Tags => "tags",
            Self::TagValues => "tag values",
            Self::QueryRange => "query range",
        })
    }
}
