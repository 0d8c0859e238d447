//! Which calls a run makes, and how often each comes.

use super::calls::{self, MixedCall};
use super::kind::Kind;
use crate::cli::Single;
use crate::client::QuerierClient;
use crate::seed::Seeded;
use crate::standin::TraceId;

/// All calls that a run can make.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    calls: Vec<MixedCall>,
    /// The kinds that occur, in the order of the table.
    kinds: Vec<Kind>,
    /// Whether the calls come as a querier makes them; otherwise all alike.
    as_querier: bool,
}

/// Where the stand-in's clock stands, seconds since 1970.
const STANDIN_TIME: u32 = 1_767_225_600;
/// How far back queries look, seconds.
const WINDOW: u32 = 3_600;

impl Mix {
    /// A querier's calls to a stand-in: small traces from 2 to 120 KiB, large ones of 2 to 8 MiB.
    pub(super) fn for_standin(seed: u64) -> Self {
        let mut seeded = Seeded::new(seed);
        let small = (0..16).map(|_| 2_048 + seeded.below(120 * 1024));
        let large = [2, 4, 5, 8].map(|mebibytes| mebibytes << 20);
        let ids = small
            .chain(large)
            .zip(1..)
            .map(|(size, number)| TraceId::sized(size, number));
        let traces = ids.map(|id| MixedCall::trace(Kind::of_trace(id.answer_size()), id));
        Self::as_querier(traces.collect(), STANDIN_TIME)
    }

    /// Single calls to a stand-in: `calls`, with traces of `sizes`, or of 64 KiB where there are
    /// none.
    pub(super) fn singles_for_standin(calls: &[Single], sizes: &[usize]) -> Self {
        /// Traces of each size, so that no cache sees just one.
        const EACH: u64 = 4;
        let kinds = Kind::of_sizes(sizes).into_iter();
        let traces = kinds.flat_map(|kind| {
            let size = match kind {
                Kind::Trace(size) => size,
                _ => 0,
            };
            (1..=EACH).map(move |number| MixedCall::trace(kind, TraceId::sized(size, number)))
        });
        Self::singles(calls, traces.collect(), STANDIN_TIME)
    }

    /// The calls to a live-store of which nothing is known: those of a querier, or `singles` where
    /// there are some. Traces are `ids`, or else what a search for the hour before `now` (seconds
    /// since 1970) finds.
    ///
    /// # Errors
    /// When a call fails, or no trace is found.
    pub(super) async fn discover(
        client: &QuerierClient,
        singles: &[Single],
        ids: &[TraceId],
        now: u32,
    ) -> anyhow::Result<Self> {
        let start = now.saturating_sub(WINDOW);
        let reads_traces = singles.is_empty() || singles.contains(&Single::Trace);
        let traces = match reads_traces {
            true => calls::traces(client, ids, start, now).await?,
            false => Vec::new(),
        };
        Ok(match singles {
            [] => Self::as_querier(traces, start),
            singles => Self::singles(singles, traces, start),
        })
    }

    fn as_querier(mut calls: Vec<MixedCall>, start: u32) -> Self {
        let has_large = calls.iter().any(|call| call.kind == Kind::LargeTrace);
        let kinds = Kind::QUERIER.into_iter();
        let kinds = kinds.filter(|kind| has_large || *kind != Kind::BusyHealth);
        calls.extend(kinds.filter_map(|kind| MixedCall::query(kind, start, start + WINDOW)));
        Self::new(calls, true)
    }

    fn singles(singles: &[Single], traces: Vec<MixedCall>, start: u32) -> Self {
        let mut calls = Vec::new();
        for single in singles {
            let kind = match single {
                Single::Trace => {
                    calls.extend(traces.iter().cloned());
                    continue;
                }
                Single::Health => Kind::Health,
                Single::Search => Kind::Search,
                Single::Tags => Kind::Tags,
                Single::TagValues => Kind::TagValues,
                Single::QueryRange => Kind::QueryRange,
            };
            calls.extend(MixedCall::query(kind, start, start + WINDOW));
        }
        Self::new(calls, false)
    }

    fn new(calls: Vec<MixedCall>, as_querier: bool) -> Self {
        let mut kinds: Vec<Kind> = calls.iter().map(|call| call.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            calls,
            kinds,
            as_querier,
        }
    }

    /// The same mix with those calls alone that are `wanted`, by their places.
    pub(super) fn retain(&self, wanted: &[usize]) -> Self {
        let calls = wanted.iter().map(|&place| self.calls[place].clone());
        Self::new(calls.collect(), self.as_querier)
    }

    /// All calls.
    pub(super) fn calls(&self) -> &[MixedCall] {
        &self.calls
    }

    /// The kinds that occur, in the order of the table.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The place of the kind of the call at `place` in [`Mix::kinds`].
    pub(super) fn kind_of(&self, place: usize) -> usize {
        let kind = self.calls[place].kind;
        self.kinds.binary_search(&kind).unwrap_or(0) // every call's kind is there
    }

    /// One block: places in [`Mix::calls`], each kind as often as its share, in two parts, of
    /// which the second begins when the first has ended. The first has the small calls in a random
    /// order; the second the large traces and health checks beside them. Apart, because a large
    /// trace keeps both cores of a small machine so busy that nothing else could be seen.
    pub(super) fn block(&self, seeded: &mut Seeded) -> [Vec<usize>; 2] {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for (row, kind) in self.kinds.iter().enumerate() {
            let places = 0..self.calls.len();
            let places: Vec<usize> = places.filter(|&at| self.kind_of(at) == row).collect();
            let part = match kind {
                Kind::BusyHealth => &mut large,
                kind if kind.is_large() => &mut large,
                _ => &mut small,
            };
            let share = match self.as_querier {
                true => kind.share(),
                false => kind.single_share(),
            };
            part.extend((0..share).map(|_| *seeded.pick(&places)));
        }
        seeded.shuffle(&mut small);
        [small, large]
    }

    /// Whether there is a call of `kind`.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_each_kind_as_often_as_its_share() {
        let mix = Mix::for_standin(1);
        let block = mix.block(&mut Seeded::new(1)).concat();
        assert_eq!(mix.kinds(), Kind::QUERIER);
        for kind in Kind::QUERIER {
            let of_kind = |at: &&usize| mix.calls()[**at].kind == kind;
            assert_eq!(block.iter().filter(of_kind).count(), kind.share(), "{kind}");
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
        let small = MixedCall::trace(Kind::SmallTrace, TraceId::sized(2_000, 1));
        let [_, large] = Mix::as_querier(vec![small], 0).block(&mut Seeded::new(1));
        assert!(large.is_empty());
    }

    #[test]
    fn single_calls_come_with_their_sizes_and_nothing_else() {
        let calls = [Single::Trace, Single::Health];
        let mix = Mix::singles_for_standin(&calls, &[4 << 20, 10_000]);
        let kinds = [Kind::Health, Kind::Trace(10_000), Kind::Trace(4 << 20)];
        assert_eq!(mix.kinds(), kinds);
        let [small, large] = mix.block(&mut Seeded::new(1));
        assert_eq!((small.len(), large.len()), (16, 2));
        let names = mix.kinds().iter().map(ToString::to_string);
        let names = names.collect::<Vec<_>>();
        assert_eq!(names, ["health check", "trace 10000 B", "trace 4 MiB"]);
        let health = Mix::singles_for_standin(&[Single::Health], &[]);
        assert_eq!(health.kinds(), [Kind::Health]);
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
