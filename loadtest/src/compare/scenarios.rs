//! What every target is taken through.

use crate::cli::Direction;
use crate::connections::connect::Connects;
use crate::latency::pingpong::PingPong;
use crate::tcp::run::{Case, Work};
use crate::tcp::series::Unit;
use crate::throughput::bulk::Bulk;
use crate::{connections, latency, throughput};

/// The scenarios, in the order of the table and of a turn.
#[derive(Debug)]
pub(super) struct Scenarios(Vec<(String, Unit, Step)>);

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Over plain TCP.
    Plain(Work),
    /// The calls of a querier.
    Calls,
}

impl Scenarios {
    /// All of them. Idle memory comes first, for it needs a process without a past.
    pub(super) fn all() -> Self {
        let small = |size| PingPong {
            request: size,
            response: size,
            connections: 1,
            depth: 1,
        };
        let answer = |response| PingPong {
            request: 200,
            ..small(response)
        };
        let bulk = |direction, streams| throughput::case(Bulk { direction, streams });
        let plain = [
            connections::idle(500),
            latency::case(small(64)),
            latency::case(small(16 << 10)),
            latency::case(answer(64 << 10)),
            latency::case(answer(4 << 20)),
            bulk(Direction::Down, 1),
            bulk(Direction::Down, 8),
            bulk(Direction::Up, 1),
            bulk(Direction::Up, 8),
            connections::connects(Connects {
                concurrency: 32,
                request: 200,
                response: 1_024,
            }),
        ];
        let plain = plain
            .into_iter()
            .map(|Case { name, unit, work }| (name, unit, Step::Plain(work)));
        let calls = ("a querier's calls".to_owned(), Unit::Request, Step::Calls);
        Self(plain.chain([calls]).collect())
    }

    /// Names and units.
    pub(super) fn names(&self) -> Vec<(String, Unit)> {
        let scenarios = self.0.iter();
        scenarios
            .map(|(name, unit, _)| (name.clone(), *unit))
            .collect()
    }

    /// What is done in the scenario at `place`, and what it counts.
    pub(super) fn step(&self, place: usize) -> (Unit, Step) {
        let (_, unit, step) = &self.0[place];
        (*unit, *step)
    }

    /// The places of those over plain TCP.
    pub(super) fn plain(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|&place| matches!(self.0[place].2, Step::Plain(_)))
    }

    /// The places of those that make calls.
    pub(super) fn calls(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|&place| matches!(self.0[place].2, Step::Calls))
    }
}
