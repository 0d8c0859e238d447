//! How many connections each client address has: `--max-connections-per-source`.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The live connections of each address. The accept loops and the workers share it; it is locked
/// once when a connection opens and once when it ends.
pub(crate) struct Sources {
    limit: NonZeroUsize,
    live: Mutex<HashMap<IpAddr, usize>>,
}

impl Sources {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self {
            limit,
            live: Mutex::default(),
        }
    }

    /// Counts a connection in; `None` where its address has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<SourceSlot> {
        let mut live = self.lock();
        let count = live.entry(ip).or_default();
        if *count >= self.limit.get() {
            return None;
        }
        *count += 1;
        Some(SourceSlot {
            sources: Arc::clone(self),
            ip,
        })
    }

    fn leave(&self, ip: IpAddr) {
        let mut live = self.lock();
        let Some(count) = live.get_mut(&ip) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            live.remove(&ip);
            if live.len() * 4 < live.capacity() {
                let room = live.len() * 2;
                live.shrink_to(room); // who has gone is no reason to keep room
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its address, given back when it is dropped.
pub(crate) struct SourceSlot {
    sources: Arc<Sources>,
    ip: IpAddr,
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        self.sources.leave(self.ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(limit: usize) -> Arc<Sources> {
        Arc::new(Sources::new(NonZeroUsize::new(limit).unwrap()))
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let sources = sources(2);
        let slots = [sources.enter(ip(1)), sources.enter(ip(1))];
        assert!(slots.iter().all(Option::is_some));
        assert!(sources.enter(ip(1)).is_none());
        assert!(sources.enter(ip(2)).is_some());
    }

    #[test]
    fn whoever_ends_leaves_room_for_the_next() {
        let sources = sources(1);
        let slot = sources.enter(ip(1));
        assert!(sources.enter(ip(1)).is_none());
        drop(slot);
        assert!(sources.enter(ip(1)).is_some());
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_connection() {
        let sources = sources(1);
        let slots: Vec<_> = (0..=255).map(|last| sources.enter(ip(last))).collect();
        assert!(sources.enter(ip(0)).is_none()); // a refusal leaves nothing either
        drop(slots);
        assert_eq!(sources.lock().len(), 0);
        assert_eq!(sources.lock().capacity(), 0);
    }
}
