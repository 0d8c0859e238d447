//! Copy buffers, shared by the connections of one worker.

use std::{cell::RefCell, ops::Range, rc::Rc};

/// The free buffers of one worker, last in, first out, so that the next one is hot in the cache.
pub(crate) struct BufferPool {
    free: RefCell<Vec<Box<[u8]>>>,
    /// Bytes of each.
    size: usize,
}

/// Free buffers kept through a [`BufferPool::trim`]: enough for the message that wakes an idle
/// worker.
const KEPT: usize = 1;

impl BufferPool {
    /// An empty pool of buffers of `size` bytes.
    pub(crate) fn new(size: usize) -> Rc<Self> {
        Rc::new(Self {
            free: RefCell::default(),
            size,
        })
    }

    /// An empty buffer, the hottest free one or a new one.
    pub(crate) fn lease(self: &Rc<Self>) -> BufferLease {
        let bytes = self.free.borrow_mut().pop();
        let bytes = bytes.unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        BufferLease {
            bytes,
            pending: 0..0,
            pool: Rc::clone(self),
        }
    }

    /// Gives the memory of free buffers back.
    pub(crate) fn trim(&self) {
        let mut free = self.free.borrow_mut();
        free.truncate(KEPT);
        free.shrink_to_fit();
    }
}

/// A buffer, held by one direction of one connection while it has bytes in it.
pub(crate) struct BufferLease {
    bytes: Box<[u8]>,
    /// Received and not yet sent.
    pending: Range<usize>,
    pool: Rc<BufferPool>,
}

impl BufferLease {
    /// The whole buffer, to receive into. Only for one with nothing pending.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        debug_assert!(
            self.pending.is_empty(),
            "received over bytes that were not sent"
        );
        &mut self.bytes
    }

    /// Notes that the first `count` bytes were received.
    pub(crate) fn received(&mut self, count: usize) {
        self.pending = 0..count;
    }

    /// The bytes still to be sent.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.pending.clone()]
    }

    /// Notes that the first `count` pending bytes were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.pending.start += count;
        debug_assert!(
            self.pending.start <= self.pending.end,
            "sent more than was pending"
        );
    }
}

impl Drop for BufferLease {
    fn drop(&mut self) {
        self.pool
            .free
            .borrow_mut()
            .push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_buffer_is_leased_first() {
        let pool = BufferPool::new(16);
        let (mut cold, mut hot) = (pool.lease(), pool.lease());
        cold.space()[0] = 1;
        hot.space()[0] = 2;
        drop(cold);
        drop(hot);
        assert_eq!(pool.lease().space()[0], 2);
    }

    #[test]
    fn a_leased_buffer_has_nothing_pending_whatever_it_held() {
        let pool = BufferPool::new(16);
        let mut lease = pool.lease();
        lease.received(16);
        lease.sent(3);
        drop(lease);
        assert_eq!(pool.lease().pending(), b"");
    }

    #[test]
    fn what_was_received_is_pending_until_it_is_sent() {
        let pool = BufferPool::new(16);
        let mut lease = pool.lease();
        lease.space()[..5].copy_from_slice(b"hello");
        lease.received(5);
        assert_eq!(lease.pending(), b"hello");
        lease.sent(2);
        assert_eq!(lease.pending(), b"llo");
        lease.sent(3);
        assert_eq!(lease.pending(), b"");
    }

    #[test]
    fn trimming_keeps_one_buffer() {
        let pool = BufferPool::new(16);
        drop((pool.lease(), pool.lease(), pool.lease()));
        assert_eq!(pool.free.borrow().len(), 3);
        pool.trim();
        assert_eq!(pool.free.borrow().len(), 1);
    }
}
