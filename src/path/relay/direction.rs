//! One way of a connection: from a socket, through a buffer or a pipe, to the other socket.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use rustix::io::Errno;

use super::{Pools, copy, splice};
use crate::{
    account::{
        labels::{Fallback, Path, Way},
        live::Live,
    },
    config::Engine,
    path::{
        buffer::BufferLease,
        pipe::{NoPipe, PipeLease},
        socket::Socket,
    },
};

/// Bytes that a direction moves before the other tasks of its worker have their turn.
const TURN: usize = 1024 * 1024;

/// Bytes of one splice below which the next read is a copy: there the two calls that a pipe needs
/// beyond the copy's cost more than the copying (even at 64 KiB, a loss below 16 KiB).
const BULK: usize = 64 * 1024;

/// One way of a connection.
pub(super) struct Direction<'a> {
    way: Way,
    from: &'a Socket,
    to: &'a Socket,
    pools: &'a Pools,
    live: &'a Live,
    /// What holds the bytes between the sockets. Nothing, while the direction waits for some.
    held: Held,
    /// The next read goes into a pipe.
    bulk: bool,
    /// Splicing was not to be had once; it was counted.
    fell_back: bool,
    /// The socket can't be spliced from.
    copy_only: bool,
    /// It is to read no more.
    stopping: bool,
}

enum Held {
    Nothing,
    Buffer(BufferLease),
    Pipe(PipeLease),
}

/// What a direction has to say when it does not just wait.
pub(super) enum Step {
    /// It could go on, but others wait for the thread.
    Yield,
    /// It read the end of stream, and all before that has left.
    Finished,
    /// It was told to stop, and all that it had read has left.
    Stopped,
    /// Its source failed. All that was read before has left.
    ReadFailed(Errno),
    /// Its target failed. What was held is lost.
    WriteFailed(Errno),
}

impl<'a> Direction<'a> {
    pub(super) fn new(
        way: Way,
        from: &'a Socket,
        to: &'a Socket,
        pools: &'a Pools,
        live: &'a Live,
    ) -> Self {
        Self {
            way,
            from,
            to,
            pools,
            live,
            held: Held::Nothing,
            bulk: pools.engine == Engine::Splice,
            fell_back: false,
            copy_only: pools.engine == Engine::Copy,
            stopping: false,
        }
    }

    /// Has it read no more. What it holds still leaves.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(super) fn source(&self) -> &'a Socket {
        self.from
    }

    pub(super) fn target(&self) -> &'a Socket {
        self.to
    }

    /// Whether it holds bytes that its target does not take.
    pub(super) fn is_stalled(&self) -> bool {
        match &self.held {
            Held::Nothing => false,
            Held::Buffer(buffer) => !buffer.pending().is_empty(),
            Held::Pipe(pipe) => pipe.pending() > 0,
        }
    }

    /// Moves bytes until one of the sockets makes it wait, or its turn is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let mut moved = 0;
        loop {
            if let Err(error) = ready!(self.poll_drain(cx)) {
                self.held = Held::Nothing;
                return Poll::Ready(Step::WriteFailed(error));
            }
            if self.stopping {
                self.held = Held::Nothing;
                return Poll::Ready(Step::Stopped);
            }
            if moved >= TURN {
                return Poll::Ready(Step::Yield);
            }
            let Poll::Ready(filled) = self.poll_fill(cx) else {
                self.held = Held::Nothing; // an idle connection owns no buffer and no pipe
                return Poll::Pending;
            };
            match filled {
                Ok(0) => {
                    self.held = Held::Nothing;
                    return Poll::Ready(Step::Finished);
                }
                Ok(count) => moved += count,
                Err(error) => {
                    self.held = Held::Nothing;
                    return Poll::Ready(Step::ReadFailed(error));
                }
            }
        }
    }

    /// Sends what is held until nothing is.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        loop {
            let (count, path) = match &mut self.held {
                Held::Buffer(buffer) if !buffer.pending().is_empty() => {
                    (ready!(copy::poll_drain(self.to, buffer, cx))?, Path::Copy)
                }
                Held::Pipe(pipe) if pipe.pending() > 0 => {
                    (ready!(splice::poll_drain(self.to, pipe, cx))?, Path::Splice)
                }
                _ => return Poll::Ready(Ok(())),
            };
            self.live.moved(self.way, path, count); // bytes count when they leave
        }
    }

    /// Reads once, into what suits the size of the read before.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Errno>> {
        if self.bulk
            && !self.copy_only
            && let Some(count) = ready!(self.poll_fill_pipe(cx))?
        {
            return Poll::Ready(Ok(count));
        }
        self.poll_fill_buffer(cx)
    }

    /// `Ok(None)`: there is no pipe, or none for this socket, or a splice that moved nothing; a copy
    /// is to have the last word.
    fn poll_fill_pipe(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, Errno>> {
        let from = self.from;
        ready!(from.poll_readable(cx))?; // pipes are few: none is leased for nothing
        let Some(pipe) = self.pipe() else {
            return Poll::Ready(Ok(None));
        };
        match ready!(splice::poll_fill(from, pipe, cx)) {
            // The end of the stream, or an urgent mark in it: a `recv` tells them apart.
            Ok(0) => Poll::Ready(Ok(None)),
            Ok(count) => {
                self.bulk = count >= BULK || self.pools.engine == Engine::Splice;
                Poll::Ready(Ok(Some(count)))
            }
            Err(error) if splice::unsupported(error) => {
                self.copy_only = true;
                self.note_fallback(Fallback::Unsupported);
                Poll::Ready(Ok(None))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_fill_buffer(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Errno>> {
        let mut buffer = match mem::replace(&mut self.held, Held::Nothing) {
            Held::Buffer(buffer) => buffer,
            Held::Nothing | Held::Pipe(_) => self.pools.buffers.lease(),
        };
        let size = buffer.space().len();
        let count = ready!(copy::poll_fill(self.from, &mut buffer, cx))?;
        self.held = Held::Buffer(buffer);
        self.bulk = count == size || self.pools.engine == Engine::Splice;
        Poll::Ready(Ok(count))
    }

    /// The pipe that is held, or one newly leased, if one can be had. Either is empty.
    fn pipe(&mut self) -> Option<&mut PipeLease> {
        if !matches!(self.held, Held::Pipe(_)) {
            match self.pools.pipes.lease() {
                Ok(pipe) => self.held = Held::Pipe(pipe),
                Err(NoPipe::Limit) => self.note_fallback(Fallback::Limit),
                Err(NoPipe::Small) => self.note_fallback(Fallback::Small),
                Err(NoPipe::Failed(_)) => self.note_fallback(Fallback::Failed),
            }
        }
        match &mut self.held {
            Held::Pipe(pipe) => Some(pipe),
            Held::Buffer(_) | Held::Nothing => None,
        }
    }

    /// Counts, once per direction, that it copies what it would have spliced.
    fn note_fallback(&mut self, reason: Fallback) {
        if !mem::replace(&mut self.fell_back, true) {
            self.live.fell_back(reason);
        }
    }
}
