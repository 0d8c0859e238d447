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
                if granted < WORTHWHILE.min(self.size) {
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
    pool: Rc<PipePool>,
}

impl PipeLease {
    /// Bytes in the pipe.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Moves bytes from a socket into the pipe; `Ok(0)` is end of stream. Only an empty pipe is
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
    /// What splice(2) fails with; the bytes stay in the pipe.
    pub(crate) fn drain_to(&mut self, to: BorrowedFd<'_>) -> Result<usize, Errno> {
        let Some(pipe) = &self.pipe else {
            return Err(Errno::BADF);
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let count = match splice(&pipe.read, None, to, None, self.pending, flags)? {
            // There are bytes in the pipe: zero says that they can't leave now, not that it ended.
            0 => return Err(Errno::AGAIN),
            count => count,
        };
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
    /// Makes a pipe and returns it with the capacity that it got, in bytes.
    fn new(size: usize) -> Result<(Self, usize), Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // EPERM beyond the user's limit; what the pipe was born with is read back either way.
        fcntl_setpipe_size(write.as_fd(), size).ok();
        let granted = fcntl_getpipe_size(write.as_fd())?;
        Ok((Self { read, write }, granted))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        os::unix::net::UnixStream,
    };

    use proptest::prelude::*;
    use rustix::net::sockopt::set_socket_send_buffer_size;

    use super::*;

    const LIMIT: usize = 3;

    /// What may happen to the leases, each chosen by a number modulo how many there are.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Lease,
        /// Fills a lease that is empty, with so many bytes.
        Fill(usize, usize),
        /// Drains a lease as far as its socket has room.
        Drain(usize),
        /// Makes room.
        Read(usize),
        Drop(usize),
        Trim,
    }

    fn act() -> impl Strategy<Value = Act> {
        let index = 0..LIMIT;
        prop_oneof![
            3 => Just(Act::Lease),
            4 => (index.clone(), 1..60_000usize).prop_map(|(index, count)| Act::Fill(index, count)),
            4 => index.clone().prop_map(Act::Drain),
            4 => index.clone().prop_map(Act::Read),
            2 => index.prop_map(Act::Drop),
            1 => Just(Act::Trim),
        ]
    }

    /// A lease, and the sockets on both sides of it.
    struct Held {
        lease: PipeLease,
        /// Every byte of this lease.
        tag: u8,
        source: (UnixStream, UnixStream),
        target: (UnixStream, UnixStream),
        /// Filled and not read yet.
        owed: usize,
    }

    impl Held {
        fn new(lease: PipeLease, tag: u8) -> Self {
            let (source, target) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            for end in [&source.0, &source.1, &target.0, &target.1] {
                end.set_nonblocking(true).unwrap();
            }
            set_socket_send_buffer_size(&target.0, 4096).unwrap(); // so that draining is in parts
            Self {
                lease,
                tag,
                source,
                target,
                owed: 0,
            }
        }

        fn fill(&mut self, count: usize) {
            if self.lease.pending() == 0 {
                let written = self.source.0.write(&vec![self.tag; count]).unwrap();
                assert_eq!(written, count);
                self.owed += self.lease.fill(self.source.1.as_fd()).unwrap();
                self.source = UnixStream::pair().unwrap(); // what did not fit is not sent at all
            }
        }

        fn drain(&mut self) {
            if self.lease.pending() > 0 {
                let before = self.lease.pending();
                match self.lease.drain_to(self.target.0.as_fd()) {
                    Ok(count) => assert_eq!(self.lease.pending(), before - count),
                    Err(error) => assert_eq!(error, Errno::AGAIN),
                }
            }
        }

        fn read(&mut self) {
            let mut bytes = [0; 8192];
            match self.target.1.read(&mut bytes) {
                Ok(count) => {
                    assert!(
                        bytes[..count].iter().all(|byte| *byte == self.tag),
                        "foreign bytes"
                    );
                    self.owed -= count;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_leased_pipe_is_empty_and_there_are_never_too_many(acts in proptest::collection::vec(act(), 1..60)) {
            let pool = PipePool::new(LIMIT, 1024 * 1024);
            let mut held: Vec<Held> = Vec::new();
            let mut tags = 1..=u8::MAX;
            for act in acts {
                match act {
                    Act::Lease => match pool.lease() {
                        Ok(lease) => {
                            let pipe = lease.pipe.as_ref().unwrap();
                            prop_assert_eq!(rustix::io::ioctl_fionread(&pipe.read).unwrap(), 0);
                            prop_assert_eq!(lease.pending(), 0);
                            held.push(Held::new(lease, tags.next().unwrap()));
                        }
                        Err(error) => {
                            prop_assert_eq!(error, NoPipe::Limit);
                            prop_assert_eq!(held.len(), LIMIT, "there was one to be had");
                        }
                    },
                    Act::Trim => pool.trim(),
                    Act::Fill(index, count) => at(&mut held, index, |held| held.fill(count)),
                    Act::Drain(index) => at(&mut held, index, Held::drain),
                    Act::Read(index) => at(&mut held, index, Held::read),
                    Act::Drop(index) => {
                        if index < held.len() {
                            held.swap_remove(index);
                        }
                    }
                }
                prop_assert_eq!(pool.alive(), held.len() + pool.free.borrow().len());
                prop_assert!(pool.alive() <= LIMIT);
            }
            // Whatever was filled comes out, once somebody reads.
            for held in &mut held {
                while held.owed > 0 {
                    held.drain();
                    held.read();
                }
                prop_assert_eq!(held.lease.pending(), 0);
            }
        }
    }

    fn at(held: &mut [Held], index: usize, act: impl FnOnce(&mut Held)) {
        if let Some(held) = held.get_mut(index) {
            act(held);
        }
    }

    #[test]
    fn a_pipe_that_the_kernel_makes_small_is_not_used() {
        let pool = PipePool::new(4, usize::MAX); // nobody gets this: it stays at 64 KiB
        assert_eq!(pool.lease().err(), Some(NoPipe::Small));
        assert_eq!((pool.alive(), pool.granted.get()), (0, 64 * 1024));
        // The kernel is not asked again before the next trim.
        pool.granted.set(0);
        assert_eq!(pool.lease().err(), Some(NoPipe::Small));
        assert_eq!(pool.granted.get(), 0);
        pool.trim();
        assert_eq!(pool.lease().err(), Some(NoPipe::Small));
        assert_eq!(pool.granted.get(), 64 * 1024);
    }

    #[test]
    fn a_small_pipe_is_used_where_it_was_asked_for() {
        let pool = PipePool::new(1, 64 * 1024);
        assert!(pool.lease().is_ok());
    }

    #[test]
    fn pipes_that_nobody_needs_are_closed_and_the_needed_ones_stay() {
        let pool = PipePool::new(4, 1024 * 1024);
        let leases: Vec<_> = (0..4).map(|_| pool.lease().unwrap()).collect();
        drop(leases);
        pool.trim(); // they were needed since the last
        assert_eq!(pool.alive(), 4);
        drop(pool.lease().unwrap());
        pool.trim(); // one was
        assert_eq!(pool.alive(), 1);
        pool.trim(); // none was
        assert_eq!(pool.alive(), 0);
    }
}
