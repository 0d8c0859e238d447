//! Who makes which calls when.

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
pub(super) struct Schedule<'a> {
    mix: &'a Mix,
    proxies: usize,
    seeded: Seeded,
}

impl<'a> Schedule<'a> {
    /// The rounds of `seed`.
    pub(super) fn new(mix: &'a Mix, proxies: usize, seed: u64) -> Self {
        let seeded = Seeded::keyed(seed, b"schedule");
        Self {
            mix,
            proxies,
            seeded,
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let mut order = Arm::all(self.proxies);
        self.seeded.shuffle(&mut order);
        let parts = self.mix.block(&mut self.seeded);
        Some(Round { order, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_up() {
        let mix = Mix::for_standin(1);
        let mut orders: Vec<_> = Schedule::new(&mix, 1, 1)
            .take(100)
            .map(|round| round.order)
            .collect();
        orders
            .sort_unstable_by_key(|order| order.iter().map(|arm| arm.place()).collect::<Vec<_>>());
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }

    #[test]
    fn the_seed_fixes_the_rounds() {
        let mix = Mix::for_standin(1);
        let rounds = |seed| Schedule::new(&mix, 1, seed).take(10).collect::<Vec<_>>();
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
    }

    #[test]
    fn an_arm_knows_its_place() {
        let places: Vec<_> = Arm::all(3).into_iter().map(Arm::place).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
    }
}
