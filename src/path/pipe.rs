//! Kernel pipes: what `splice` needs between two sockets, pooled because they are few.
//!
//! Unprivileged users share 64 MiB of pipe memory (`pipe-user-pages-soft`) with every process of
//! the same uid. So a direction leases a pipe only for a burst, and takes none that the kernel
//! made small.

use std::{
    cell::{Cell, RefCell},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice},
};
use tracing::warn;

/// Bytes of capacity below which a pipe is not worth having: one of 8 KiB, the kernel's answer
/// beyond the limit, makes splicing twice as expensive as copying.
pub(crate) const WORTHWHILE: usize = 256 * 1024;

/// The capacity that the kernel grants a pipe of `size` bytes here and now; zero if it grants none.
pub(crate) fn granted(size: usize) -> usize {
    Pipe::new(size).map_or(0, |(_, granted)| granted)
}

/// The pipes of one worker.
pub(crate) struct PipePool {
    free: RefCell<Vec<Pipe>>,
    /// Free and leased ones.
    alive: Cell<usize>,
    /// The most that may be alive.
    limit: usize,
    /// Bytes of capacity to ask for.
    size: usize,
    /// Bytes of capacity below which a pipe is not taken.
    least: usize,
    /// Bytes of capacity that the kernel granted last; zero before the first pipe.
    granted: Cell<usize>,
    /// The fewest that were free since the last [`PipePool::trim`]: those nobody needed.
    unused: Cell<usize>,
    /// The kernel refused or shrank a pipe: ask again only after the next [`PipePool::trim`].
    refused: Cell<Option<NoPipe>>,
    /// It was logged that it does.
    warned: Cell<bool>,
}

/// Why there is no pipe to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPipe {
    /// As many as allowed are leased (`--max-pipes`).
    Limit,
    /// The kernel grants less than [`WORTHWHILE`].
    Small,
    /// The kernel grants none at all.
    Failed(Errno),
}

impl PipePool {
    /// An empty pool of at most `limit` pipes of `size` bytes.
    pub(crate) fn new(limit: usize, size: usize) -> Rc<Self> {
        Rc::new(Self {
            free: RefCell::default(),
            alive: Cell::new(0),
            limit,
            size,
            least: WORTHWHILE.min(size), // what was asked for is worth having
            granted: Cell::new(0),
            unused: Cell::new(0),
            refused: Cell::new(None),
            warned: Cell::new(false),
        })
    }

    /// An empty pipe, a free one or a new one.
    ///
    /// # Errors
    /// There is none to be had; the caller copies instead.
    pub(crate) fn lease(self: &Rc<Self>) -> Result<PipeLease, NoPipe> {
        let free = self.free.borrow_mut().pop();
        let pipe = match free {
            Some(pipe) => pipe,
            None => self.make()?,
        };
        self.unused
            .set(self.unused.get().min(self.free.borrow().len()));
        Ok(PipeLease {
            pipe: Some(pipe),
            pending: 0,
            unmoved: 0,
            pool: Rc::clone(self),
        })
    }

    fn make(&self) -> Result<Pipe, NoPipe> {
        if self.alive.get() >= self.limit {
            return Err(NoPipe::Limit);
        }
        if let Some(refused) = self.refused.get() {
            return Err(refused);
        }
        match Pipe::new(self.size) {
            Ok((pipe, granted)) => {
                self.granted.set(granted);
                if granted < self.least {
                    return Err(self.refuse(NoPipe::Small));
                }
                self.alive.set(self.alive.get() + 1);
                Ok(pipe)
            }
            Err(error) => Err(self.refuse(NoPipe::Failed(error))),
        }
    }

    /// Remembers what the kernel has refused, and says so the first time.
    fn refuse(&self, reason: NoPipe) -> NoPipe {
        self.refused.set(Some(reason));
        if !self.warned.replace(true) {
            warn!(
                ?reason,
                asked = self.size,
                granted = self.granted.get(),
                "no pipes worth having; copying instead of splicing (see fs.pipe-user-pages-soft)"
            );
        }
        reason
    }

    /// Closes the pipes that nobody needed since the last call, and asks the kernel again where it
    /// refused.
    pub(crate) fn trim(&self) {
        self.refused.set(None);
        let mut free = self.free.borrow_mut();
        let closed = self.unused.get().min(free.len());
        free.drain(..closed); // the ones at the bottom: those on top are hot
        self.alive.set(self.alive.get() - closed);
        self.unused.set(free.len());
        free.shrink_to_fit();
    }

    /// Pipes alive, leased and free together.
    pub(crate) fn alive(&self) -> usize {
        self.alive.get()
    }

    /// Those of them that nobody has leased.
    pub(crate) fn free(&self) -> usize {
        self.free.borrow().len()
    }

    /// Bytes of capacity that the kernel granted last; zero before the first pipe.
    pub(crate) fn granted(&self) -> usize {
        self.granted.get()
    }
}

/// A pipe, held by one direction of one connection for a burst.
pub(crate) struct PipeLease {
    /// `None` only while it is dropped.
    pipe: Option<Pipe>,
    /// Bytes in the pipe. It can exceed the capacity: a slot may hold a large segment.
    pending: usize,
    /// How often in a row the kernel moved none of them, and gave no reason.
    unmoved: u8,
    pool: Rc<PipePool>,
}

/// So often a drain that moves nothing, and gives no reason, is tried again.
const TRIES: u8 = 8;

impl PipeLease {
    /// Bytes in the pipe.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Moves bytes from a socket into the pipe; `Ok(0)`: there was none to move. Only an empty pipe is
    /// filled, so that `EAGAIN` has one meaning: the socket is dry.
    ///
    /// # Errors
    /// What splice(2) fails with.
    pub(crate) fn fill(&mut self, from: BorrowedFd<'_>) -> Result<usize, Errno> {
        debug_assert_eq!(self.pending, 0, "filled a pipe that was not empty");
        let Some(pipe) = &self.pipe else {
            return Err(Errno::BADF);
        };
        // Never SPLICE_F_MORE: it holds the last segment back, by 40 ms where it was tried.
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        self.pending = splice(from, None, &pipe.write, None, self.pool.size, flags)?;
        Ok(self.pending)
    }

    /// Moves bytes from the pipe into a socket and returns how many.
    ///
    /// # Errors
    /// What splice(2) fails with; the bytes stay in the pipe. `EINTR` asks for another try at once,
    /// `EIO` says that none has moved a byte.
    pub(crate) fn drain_to(&mut self, to: BorrowedFd<'_>) -> Result<usize, Errno> {
        let Some(pipe) = &self.pipe else {
            return Err(Errno::BADF);
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let count = splice(&pipe.read, None, to, None, self.pending, flags)?;
        if count == 0 {
            // There are bytes in the pipe, and a full socket would have been `EAGAIN`.
            self.unmoved += 1;
            return Err(if self.unmoved < TRIES {
                Errno::INTR
            } else {
                Errno::IO
            });
        }
        self.unmoved = 0;
        self.pending -= count;
        Ok(count)
    }
}

impl Drop for PipeLease {
    fn drop(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        if self.pending == 0 {
            self.pool.free.borrow_mut().push(pipe);
        } else {
            // Bytes of one connection never reach another: what still holds some is closed.
            self.pool.alive.set(self.pool.alive.get() - 1);
        }
    }
}

/// The two ends of a kernel pipe.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// Makes a pipe and returns it with the capacity that it got, in bytes: what was asked for, or
    /// the largest part of it, by halves, that the kernel grants (fs.pipe-max-size bounds one pipe,
    /// fs.pipe-user-pages-soft all of a user's), or what a pipe is born with.
    fn new(size: usize) -> Result<(Self, usize), Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut ask = size;
        while fcntl_setpipe_size(write.as_fd(), ask).is_err() && ask / 2 >= WORTHWHILE {
            ask /= 2;
        }
        let granted = fcntl_getpipe_size(write.as_fd())?;
        Ok((Self { read, write }, granted))
    }
}

#[cfg(test)]
#[path = "pipe/tests.rs"] // also for rustfmt, where a bench includes this file
mod tests;
