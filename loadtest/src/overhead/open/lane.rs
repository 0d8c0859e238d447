//! The way of calls whose time has come to the connections of their arm.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

/// A call whose time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// The round that it belongs to.
    pub(super) round: u64,
    /// Its place in the mix.
    pub(super) call: usize,
    /// When it should begin.
    pub(super) at: Instant,
    /// When its arm's turn is over.
    pub(super) turn_ends: Instant,
}

/// Calls that wait for a stream, first come, first served. Whoever brings them never waits.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Mutex<VecDeque<Due>>,
    waiting: Semaphore,
}

/// Calls that may wait. At some 50 bytes each they take 50 MB; whoever is so far behind will not
/// catch up.
const MOST: usize = 1_000_000;

impl Lane {
    /// Nobody waits yet.
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            waiting: Semaphore::new(0),
        }
    }

    /// Lets a call wait. `false` when too many do already.
    pub(super) fn push(&self, due: Due) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= MOST {
            return false;
        }
        queue.push_back(due);
        drop(queue);
        self.waiting.add_permits(1);
        true
    }

    /// The call that has waited longest; waits for one. `None` when [`Lane::clear`] took it.
    pub(super) async fn pop(&self) -> Option<Due> {
        // Never closed, so there is always a permit to come.
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    /// Sends those that wait away, and tells how many they were.
    pub(super) fn clear(&self) -> usize {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len();
        queue.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn calls_keep_their_order_and_an_overflow_is_told() {
        let (lane, at) = (Lane::new(), Instant::now());
        let due = |call| Due {
            round: 0,
            call,
            at,
            turn_ends: at,
        };
        assert!((0..MOST).all(|call| lane.push(due(call))));
        assert!(!lane.push(due(MOST)));
        for expected in 0..3 {
            assert_eq!(lane.pop().await.unwrap().call, expected);
        }
        assert!(lane.push(due(MOST)));
        assert_eq!(lane.clear(), MOST - 2);
        assert!(lane.pop().await.is_none());
    }
}
