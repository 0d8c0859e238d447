//! Who makes which calls when.

use std::collections::VecDeque;
use std::sync::Arc;

use super::mix::Mix;
use crate::seed::Seeded;

/// Where calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// To the backend itself.
    Direct,
    /// To the backend itself, over connections of its own: the null run.
    Null,
    /// Through the proxy of this number.
    Through(usize),
}

impl Arm {
    /// All of them with `proxies` proxies; an arm's place here is its place in tables of arms.
    pub(super) fn all(proxies: usize) -> Vec<Self> {
        let through = (0..proxies).map(Self::Through);
        [Self::Direct, Self::Null]
            .into_iter()
            .chain(through)
            .collect()
    }

    /// The arm's place in [`Arm::all`].
    pub(super) fn place(self) -> usize {
        match self {
            Self::Direct => 0,
            Self::Null => 1,
            Self::Through(proxy) => 2 + proxy,
        }
    }
}

/// One round: a block of calls, made by each arm in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The arms, in this round's order.
    pub(super) order: Vec<Arm>,
    /// The calls, as places in [`Mix::calls`], in parts that follow each other.
    pub(super) parts: [Vec<usize>; 2],
}

/// The rounds of a run, without end. Order and calls follow from the seed alone.
#[derive(Debug)]
pub(super) struct Schedule {
    mix: Arc<Mix>,
    proxies: usize,
    seeded: Seeded,
    /// Calls of a block of which some were given out.
    rest: VecDeque<usize>,
}

impl Schedule {
    /// The rounds of `seed`.
    pub(super) fn new(mix: Arc<Mix>, proxies: usize, seed: u64) -> Self {
        Self {
            mix,
            proxies,
            seeded: Seeded::keyed(seed, b"schedule"),
            rest: VecDeque::new(),
        }
    }

    /// A round of whole blocks.
    pub(super) fn round(&mut self) -> Round {
        let order = self.order();
        let parts = self.mix.block(&mut self.seeded);
        Round { order, parts }
    }

    /// A round of `count` calls: an order of the arms, and the next calls of the blocks' endless
    /// row.
    pub(super) fn piece(&mut self, count: usize) -> (Vec<Arm>, Vec<usize>) {
        while self.rest.len() < count {
            self.rest.extend(self.mix.block(&mut self.seeded).concat());
        }
        (self.order(), self.rest.drain(..count).collect())
    }

    fn order(&mut self) -> Vec<Arm> {
        let mut order = Arm::all(self.proxies);
        self.seeded.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seed: u64) -> Schedule {
        Schedule::new(Arc::new(Mix::for_standin(1)), 1, seed)
    }

    #[test]
    fn every_order_comes_up() {
        let mut schedule = schedule(1);
        let places = |round: Round| round.order.into_iter().map(Arm::place).collect::<Vec<_>>();
        let mut orders: Vec<_> = (0..100).map(|_| places(schedule.round())).collect();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }

    #[test]
    fn the_seed_fixes_the_rounds() {
        let rounds = |seed| {
            let mut schedule = schedule(seed);
            let whole = (0..10).map(|_| schedule.round()).collect::<Vec<_>>();
            let pieces = (0..10).map(|_| schedule.piece(10)).collect::<Vec<_>>();
            (whole, pieces)
        };
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
    }

    #[test]
    fn pieces_are_blocks_cut_anew() {
        let mut schedule = schedule(1);
        let pieces: Vec<_> = (0..27).flat_map(|_| schedule.piece(10).1).collect();
        let mix = Mix::for_standin(1);
        let large = pieces
            .iter()
            .filter(|&&call| mix.calls()[call].kind.is_large());
        assert_eq!(large.count(), 10); // one in 27
    }

    #[test]
    fn an_arm_knows_its_place() {
        let places: Vec<_> = Arm::all(3).into_iter().map(Arm::place).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
    }
}
