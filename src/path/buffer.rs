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
