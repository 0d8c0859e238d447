//! The calls of a querier, and how often each comes.

use std::fmt;

use anyhow::{Context as _, bail};
use prost::Message as _;

use crate::client::{Call, QuerierClient};
use crate::proto::tempopb;
use crate::seed::Seeded;
use crate::standin::TraceId;

/// Answers up to this size count as small, bytes.
const SMALL: usize = 256 * 1024;

/// A kind of call: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `grpc.health.v1.Health/Check`: every 15 s on each connection, and the closest to a bare
    /// round trip.
    Health,
    /// `FindTraceByID` with an answer up to 256 KiB.
    SmallTrace,
    /// `FindTraceByID` with a larger answer.
    LargeTrace,
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

impl Kind {
    /// In the order of the table.
    pub(super) const ALL: [Self; 8] = [
        Self::Health,
        Self::SmallTrace,
        Self::LargeTrace,
        Self::BusyHealth,
        Self::Search,
        Self::Tags,
        Self::TagValues,
        Self::QueryRange,
    ];

    /// How often it comes in one block.
    fn share(self) -> usize {
        match self {
            Self::Health => 4,
            Self::SmallTrace => 8,
            Self::LargeTrace => 1,
            Self::BusyHealth => 6,
            Self::Search => 3,
            Self::Tags | Self::TagValues => 2,
            Self::QueryRange => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Health => "health check",
            Self::SmallTrace => "trace, small",
            Self::LargeTrace => "trace, large",
            Self::BusyHealth => "health, busy",
            Self::Search => "search",
            Self::Tags => "tags",
            Self::TagValues => "tag values",
            Self::QueryRange => "query range",
        })
    }
}

/// One call that a run can make.
#[derive(Clone, Debug)]
pub(super) struct MixedCall {
    /// Its row in the table.
    pub(super) kind: Kind,
    /// The call.
    pub(super) call: Call,
    /// The trace that it reads.
    pub(super) trace: Option<TraceId>,
}

impl fmt::Display for MixedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call.name())?;
        self.trace.map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

/// All calls that a run can make.
#[derive(Clone, Debug)]
pub(super) struct Mix(Vec<MixedCall>);

impl Mix {
    /// The calls to a stand-in: small traces from 2 to 120 KiB, large ones of 2 to 8 MiB.
    pub(super) fn for_standin(seed: u64) -> Self {
        const STANDIN_TIME: u32 = 1_767_225_600; // seconds since 1970; where its clock stands
        let mut seeded = Seeded::new(seed);
        let small = (0..16).map(|_| 2_048 + seeded.below(120 * 1024));
        let large = [2, 4, 5, 8].map(|mebibytes| mebibytes << 20);
        let ids = small
            .chain(large)
            .zip(1..)
            .map(|(size, number)| TraceId::sized(size, number));
        let traces = ids.map(|id| trace(id, id.answer_size()));
        Self::new(traces, STANDIN_TIME, STANDIN_TIME + 3_600)
    }

    /// The calls to a live-store of which nothing is known: traces are `ids`, or else what a
    /// search for the hour before `now` (seconds since 1970) finds; sizes are learnt by reading.
    ///
    /// # Errors
    /// When a call fails, or no trace is found.
    pub(super) async fn discover(
        client: &QuerierClient,
        ids: &[TraceId],
        now: u32,
    ) -> anyhow::Result<Self> {
        let start = now.saturating_sub(3_600);
        let found = match ids {
            [] => search(client, start, now)
                .await
                .context("cannot search for traces")?,
            ids => ids.to_vec(),
        };
        let mut traces = Vec::new();
        for id in found {
            let answer = client
                .find_trace(id)
                .await
                .with_context(|| format!("trace {id}"))?;
            traces.push(trace(id, answer.len()));
        }
        if traces.is_empty() {
            bail!("the backend has no trace of the last hour; name one with --trace-id HEX");
        }
        Ok(Self::new(traces, start, now))
    }

    fn new(traces: impl IntoIterator<Item = MixedCall>, start: u32, end: u32) -> Self {
        let mut mix = Self(traces.into_iter().chain(queries(start, end)).collect());
        if mix.has(Kind::LargeTrace) {
            mix.0.push(query(Kind::BusyHealth, Call::health()));
        }
        mix
    }

    /// Just these calls.
    pub(super) fn of(calls: Vec<MixedCall>) -> Self {
        Self(calls)
    }

    /// All calls, to be taken apart.
    pub(super) fn into_calls(self) -> Vec<MixedCall> {
        self.0
    }

    /// All calls.
    pub(super) fn calls(&self) -> &[MixedCall] {
        &self.0
    }

    /// One block: places in [`Mix::calls`], each kind as often as a querier makes it, in two
    /// parts, of which the second begins when the first has ended. The first has the small calls
    /// in a random order; the second a large trace and health checks beside it. Apart, because a
    /// large trace keeps both cores of a small machine so busy that nothing else could be seen.
    pub(super) fn block(&self, seeded: &mut Seeded) -> [Vec<usize>; 2] {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for kind in Kind::ALL {
            let places: Vec<usize> = (0..self.0.len())
                .filter(|&at| self.0[at].kind == kind)
                .collect();
            if places.is_empty() {
                continue;
            }
            let part = match kind {
                Kind::LargeTrace | Kind::BusyHealth => &mut large,
                _ => &mut small,
            };
            part.extend((0..kind.share()).map(|_| *seeded.pick(&places)));
        }
        seeded.shuffle(&mut small);
        [small, large]
    }

    /// Whether there is a call of `kind`.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.0.iter().any(|call| call.kind == kind)
    }
}

async fn search(client: &QuerierClient, start: u32, end: u32) -> anyhow::Result<Vec<TraceId>> {
    let answer = client
        .call(&Call::search_recent(&search_request(start, end)))
        .await?;
    let traces = tempopb::SearchResponse::decode(answer)?.traces;
    traces
        .iter()
        .map(|trace| Ok(trace.trace_id.parse()?))
        .collect()
}

fn search_request(start: u32, end: u32) -> tempopb::SearchRequest {
    tempopb::SearchRequest {
        query: "{}".to_owned(),
        limit: 20,
        spans_per_span_set: 3,
        start,
        end,
        ..Default::default()
    }
}

/// The read of a trace whose answer has `size` bytes.
fn trace(id: TraceId, size: usize) -> MixedCall {
    let kind = if size > SMALL {
        Kind::LargeTrace
    } else {
        Kind::SmallTrace
    };
    MixedCall {
        kind,
        call: Call::find_trace(id),
        trace: Some(id),
    }
}

fn query(kind: Kind, call: Call) -> MixedCall {
    MixedCall {
        kind,
        call,
        trace: None,
    }
}

/// The calls that ask for no trace; times in seconds since 1970.
fn queries(start: u32, end: u32) -> [MixedCall; 5] {
    let tags = tempopb::SearchTagsRequest {
        start,
        end,
        ..Default::default()
    };
    let values = tempopb::SearchTagValuesRequest {
        tag_name: "resource.service.name".to_owned(),
        start,
        end,
        ..Default::default()
    };
    let range = tempopb::QueryRangeRequest {
        query: "{} | rate() by (resource.service.name)".to_owned(),
        start: u64::from(start) * 1_000_000_000,
        end: u64::from(end) * 1_000_000_000,
        step: 60_000_000_000,
        max_series: 1_000,
        ..Default::default()
    };
    [
        query(Kind::Health, Call::health()),
        query(
            Kind::Search,
            Call::search_recent(&search_request(start, end)),
        ),
        query(Kind::Tags, Call::search_tags(&tags)),
        query(Kind::TagValues, Call::search_tag_values(&values)),
        query(Kind::QueryRange, Call::query_range(&range)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_each_kind_as_often_as_its_share() {
        let mix = Mix::for_standin(1);
        let block = mix.block(&mut Seeded::new(1)).concat();
        for kind in Kind::ALL {
            let count = block
                .iter()
                .filter(|&&at| mix.calls()[at].kind == kind)
                .count();
            assert_eq!(count, kind.share(), "{kind}");
        }
    }

    #[test]
    fn a_large_trace_comes_first_in_its_part() {
        let mix = Mix::for_standin(1);
        let [_, large] = mix.block(&mut Seeded::new(1));
        assert_eq!(mix.calls()[large[0]].kind, Kind::LargeTrace);
    }

    #[test]
    fn without_large_traces_there_is_no_busy_check() {
        let small = trace(TraceId::sized(2_000, 1), 2_000);
        let [_, large] = Mix::new([small], 0, 1).block(&mut Seeded::new(1));
        assert!(large.is_empty());
    }

    #[test]
    fn the_seed_fixes_calls_and_order() {
        let blocks = |seed| {
            let (mix, mut seeded) = (Mix::for_standin(seed), Seeded::new(seed));
            let names = mix
                .calls()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            (names, mix.block(&mut seeded), mix.block(&mut seeded))
        };
        assert_eq!(blocks(1), blocks(1));
        assert_ne!(blocks(1), blocks(2));
    }
}
