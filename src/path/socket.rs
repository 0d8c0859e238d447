//! One stream socket, TCP or unix, in the reactor of its worker.

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionread},
    net::{Shutdown, shutdown, sockopt},
};
use tcp_info::{send_queue, tcp_info};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{account::live::Side, sys};

/// A non-blocking stream socket, registered with the runtime of the thread that made it.
///
/// A TCP socket comes here with a linger time of zero (`edge/options`), so that it closes with a
/// reset, whatever closes it: only [`Socket::orderly_on_drop`] makes that a FIN.
///
/// The registration is edge-triggered: the kernel says once that something changed, and a side
/// counts as ready until a call found it dry (or full). These methods keep that account with as
/// few calls as possible; they expect one reader and one writer, both polled by the same task.
pub(crate) struct Socket {
    fd: AsyncFd<OwnedFd>,
    /// Read at once, before the reactor says that there is something.
    eager: Cell<bool>,
    /// The last write found no room: wait to be told before the next.
    full: Cell<bool>,
    /// The end of stream was passed on to the peer.
    finished: Cell<bool>,
    /// Not a unix socket. There [`Short::Exhausts`] does not hold for reads, which also end at a
    /// message that carries descriptors; and what was written is with the peer already.
    is_tcp: bool,
}

/// What a call that moved fewer bytes than it could have says about the socket.
#[derive(Clone, Copy)]
pub(crate) enum Short {
    /// Fewer than this many: the socket is dry (or full), and the next call would only say
    /// `EAGAIN`. True of `recv` and `send`.
    Exhausts(usize),
    /// Only `EAGAIN` tells. True of `splice`, which also stops when the pipe's slots are full, and
    /// pipes count slots, not bytes.
    ProvesNothing,
}

impl Short {
    fn exhausted_by(self, count: usize) -> bool {
        match self {
            Self::Exhausts(asked) => 0 < count && count < asked,
            Self::ProvesNothing => false,
        }
    }
}

/// Bytes: more than the frames by which a reader keeps an HTTP/2 connection alive, less than the
/// window of a connection.
const MUCH_UNREAD: u64 = 16 * 1024;

impl Socket {
    /// Registers a connected or connecting TCP socket.
    ///
    /// # Errors
    /// The reactor can't take it.
    pub(crate) fn tcp(fd: OwnedFd) -> io::Result<Self> {
        Self::register(fd, true)
    }

    /// Registers a unix stream socket.
    ///
    /// # Errors
    /// The reactor can't take it.
    pub(crate) fn unix(fd: OwnedFd) -> io::Result<Self> {
        Self::register(fd, false)
    }

    fn register(fd: OwnedFd, is_tcp: bool) -> io::Result<Self> {
        Ok(Self {
            fd: sys::register(fd, Interest::READABLE | Interest::WRITABLE)?,
            eager: Cell::new(false),
            full: Cell::new(false),
            finished: Cell::new(false),
            is_tcp,
        })
    }

    /// Has the first read tried at once: for a client, whose first bytes are mostly there before
    /// the reactor could say so.
    pub(crate) fn read_eagerly(&self) {
        self.eager.set(true);
    }

    /// Ready when the next read is worth a call: for those who must get something to read into.
    ///
    /// # Errors
    /// The runtime is going away.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        if !self.eager.get() {
            ready!(self.fd.poll_read_ready(cx))
                .map_err(errno)?
                .retain_ready();
        }
        Poll::Ready(Ok(()))
    }

    /// Runs `read` on the descriptor when it may have bytes; `Ok(0)` is end of stream.
    ///
    /// # Errors
    /// What `read` fails with, but for `EAGAIN` and `EINTR`, which are handled here.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        short: Short,
        mut read: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Poll<Result<usize, Errno>> {
        if self.eager.replace(false) {
            match read(self.fd.as_fd()) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Poll::Ready(result),
            }
        }
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx)).map_err(errno)?;
            match read(self.fd.as_fd()) {
                Ok(count) => {
                    if self.is_tcp && short.exhausted_by(count) {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Runs `write` on the descriptor: at once where it is not known to be full, else when there is
    /// room again.
    ///
    /// # Errors
    /// What `write` fails with, but for `EAGAIN` and `EINTR`, which are handled here.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        short: Short,
        mut write: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Poll<Result<usize, Errno>> {
        loop {
            if self.full.get() {
                ready!(self.fd.poll_write_ready(cx))
                    .map_err(errno)?
                    .retain_ready();
                self.full.set(false);
            }
            match write(self.fd.as_fd()) {
                Ok(count) => {
                    if short.exhausted_by(count) {
                        self.note_full(cx)?;
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => self.note_full(cx)?,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Remembers that there is no room. What the reactor holds as "writable" is from before that.
    fn note_full(&self, cx: &mut Context<'_>) -> Result<(), Errno> {
        self.full.set(true);
        if let Poll::Ready(guard) = self.fd.poll_write_ready(cx) {
            guard.map_err(errno)?.clear_ready();
        }
        Ok(())
    }

    /// Waits until the socket has failed (mostly: until its peer has sent a reset), and says with
    /// which errno. An end of stream is no failure.
    pub(crate) async fn failed(&self) -> Errno {
        match self.fd.ready(Interest::ERROR).await {
            Ok(mut guard) => guard.retain_ready(),
            Err(error) => return errno(error),
        }
        self.error()
    }

    /// The failure of a socket that nobody reads because its bytes can't be passed on; asks the
    /// kernel.
    pub(crate) fn failure(&self) -> Option<Errno> {
        let mut asked = [PollFd::new(&self.fd, PollFlags::empty())]; // errors are always told
        let told = poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0);
        (told && asked[0].revents().contains(PollFlags::ERR)).then(|| self.error())
    }

    /// The errno of a socket that has failed.
    fn error(&self) -> Errno {
        match sockopt::socket_error(self.fd.as_fd()) {
            Ok(Err(error)) | Err(error) => error,
            // A call in between took the errno with it; the failure stays.
            Ok(Ok(())) => Errno::CONNRESET,
        }
    }

    /// Bytes that were written and that the peer's kernel has not acknowledged; an end of stream counts
    /// as one. On a unix socket none: what was written there is with the peer already, and outlives
    /// this process.
    pub(crate) fn in_flight(&self) -> usize {
        if self.is_tcp {
            send_queue(&self.fd).unwrap_or(0)
        } else {
            0
        }
    }

    /// Whether the connection has failed, or is over both ways: what its send queue holds will never
    /// be delivered, or needs no more care.
    pub(crate) fn is_closed(&self) -> bool {
        !self.is_tcp || tcp_info(&self.fd).is_ok_and(|info| info.closed)
    }

    /// Whether the peer has sent more than it would beside reading, which nobody takes, and has no room
    /// for what it is sent: it is in the middle of a write, and learns of an end only from that. Where
    /// segments are on their way, it may be the network that keeps them.
    pub(crate) fn is_writing(&self) -> bool {
        let unread = ioctl_fionread(&self.fd).unwrap_or(0);
        let none_under_way =
            || !self.is_tcp || tcp_info(&self.fd).is_ok_and(|info| info.unacked == 0);
        unread >= MUCH_UNREAD && none_under_way() && !self.has_ended()
    }

    /// Whether the peer has ended its stream: it writes no more.
    fn has_ended(&self) -> bool {
        let mut asked = [PollFd::new(&self.fd, PollFlags::RDHUP)];
        let told = poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0);
        told && asked[0].revents().contains(PollFlags::RDHUP)
    }

    /// Passes on an end of stream: no more bytes will be written.
    pub(crate) fn finish(&self) {
        // It fails only when the peer is gone, which the next read or write will tell.
        let passed_on = shutdown(self.fd.as_fd(), Shutdown::Write).is_ok();
        self.finished.set(passed_on);
    }

    /// Gives the descriptor back, unregistered.
    pub(crate) fn release(self) -> OwnedFd {
        self.fd.into_inner()
    }

    /// Has the socket closed in order when it is dropped: the kernel goes on delivering what was
    /// written, and ends the stream with a FIN. To be earned: for a connection whose ends of stream
    /// have both been passed on.
    pub(crate) fn orderly_on_drop(&self) {
        // It is refused only by a sandbox; the connection then ends with a reset.
        sockopt::set_socket_linger(self.fd.as_fd(), None).ok();
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Side for Socket {
    fn undelivered(&self) -> usize {
        self.in_flight().saturating_sub(self.finished.get().into())
    }
}

/// Closes a socket that was not born to be reset, with a reset.
pub(crate) fn reset(fd: OwnedFd) {
    sockopt::set_socket_linger(&fd, Some(Duration::ZERO)).ok();
    drop(fd);
}

/// The reactor's errors have an errno, but for one: its runtime is shutting down.
fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::CANCELED)
}
