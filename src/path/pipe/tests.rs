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
    let mut pool = PipePool::new(4, 64 * 1024);
    Rc::get_mut(&mut pool).unwrap().least = 64 * 1024 + 1; // as where the kernel grants too little
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
fn a_pipe_is_as_large_as_the_kernel_grants_where_more_was_asked_for() {
    let pool = PipePool::new(1, usize::MAX); // nobody gets this
    assert!(pool.lease().is_ok());
    assert!(pool.granted() >= WORTHWHILE, "{}", pool.granted());
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
