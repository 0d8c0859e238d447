//! Who makes which calls when.

use super::mix::Mix;
use crate::seed::Seeded;

/// Where calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// To the backend itself.
    Direct,
    /// Through the proxy.
    Through,
    /// To the backend itself, over connections of its own: the null run.
    Null,
}

impl Arm {
    /// All three; an arm's place here is its place in tables of arms.
    pub(super) const ALL: [Self; 3] = [Self::Direct, Self::Through, Self::Null];

    /// The arm's place in [`Arm::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }

    /// As reports name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Through => "through",
            Self::Null => "null",
        }
    }
}

/// One round: a block of calls, made by each arm in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The arms, in this round's order.
    pub(super) order: [Arm; 3],
    /// The calls, as places in [`Mix::calls`], in parts that follow each other.
    pub(super) parts: [Vec<usize>; 2],
}

/// The rounds of a run, without end. Order and calls follow from the seed alone.
#[derive(Debug)]
pub(super) struct Schedule<'a> {
    mix: &'a Mix,
    seeded: Seeded,
}

impl<'a> Schedule<'a> {
    /// The rounds of `seed`.
    pub(super) fn new(mix: &'a Mix, seed: u64) -> Self {
        let seeded = Seeded::keyed(seed, b"schedule");
        Self { mix, seeded }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let mut order = Arm::ALL;
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
        let mut orders: Vec<_> = Schedule::new(&mix, 1)
            .take(100)
            .map(|round| round.order.map(Arm::place))
            .collect();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }

    #[test]
    fn the_seed_fixes_the_rounds() {
        let mix = Mix::for_standin(1);
        let rounds = |seed| Schedule::new(&mix, seed).take(10).collect::<Vec<_>>();
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
    }

    #[test]
    fn an_arm_knows_its_place() {
        assert_eq!(Arm::ALL.map(Arm::place), [0, 1, 2]);
    }
}
