//! Which worker serves a connection.

use std::sync::atomic::Ordering;

use super::{
    connection::Accepted,
    worker::{Command, Worker},
};

/// Hands connections to the least-loaded worker. With the few long-lived connections of gRPC, the
/// kernel's hashing over several listeners would leave cores idle.
pub(crate) struct Dispatch {
    workers: Vec<Worker>,
    /// Bytes that each worker had moved at the last choice.
    seen: Vec<u64>,
}

impl Dispatch {
    pub(crate) fn new(workers: Vec<Worker>) -> Self {
        let seen = vec![0; workers.len()];
        Self { workers, seen }
    }

    /// The workers, in order.
    pub(crate) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Hands a connection over.
    pub(crate) fn hand_over(&mut self, accepted: Accepted) {
        let bytes: Vec<_> = self
            .workers
            .iter()
            .map(|worker| worker.metrics.bytes())
            .collect();
        let loads = self.workers.iter().enumerate().map(|(index, worker)| Load {
            connections: worker.metrics.connections.load(Ordering::Acquire),
            recent_bytes: bytes[index].wrapping_sub(self.seen[index]),
        });
        let worker = &self.workers[least(loads)];
        worker.metrics.connections.fetch_add(1, Ordering::Relaxed);
        worker.tell(Command::Serve(accepted));
        self.seen = bytes;
    }
}

/// How busy a worker is: by its live connections first, by the bytes it moved since the last
/// choice where those are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    connections: usize,
    recent_bytes: u64,
}

/// The position of the least load, the first of equal ones.
fn least(loads: impl Iterator<Item = Load>) -> usize {
    loads
        .enumerate()
        .min_by_key(|(_, load)| *load)
        .map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(loads: &[(usize, u64)]) -> usize {
        least(loads.iter().map(|&(connections, recent_bytes)| Load {
            connections,
            recent_bytes,
        }))
    }

    #[test]
    fn the_worker_with_the_fewest_connections_is_chosen() {
        assert_eq!(choice(&[(2, 0), (1, 9), (3, 0)]), 1);
    }

    #[test]
    fn a_tie_goes_to_the_one_that_moved_the_fewest_bytes() {
        assert_eq!(choice(&[(1, 7), (1, 5), (1, 6)]), 1);
    }

    #[test]
    fn a_full_tie_goes_to_the_first() {
        assert_eq!(choice(&[(0, 0), (0, 0)]), 0);
    }
}
