//! One step of a direction through the kernel: socket, pipe, socket.

use std::task::{Context, Poll};

use rustix::io::Errno;

use crate::path::{
    pipe::PipeLease,
    socket::{Short, Socket},
};

/// Fills an empty pipe; `Ok(0)` says that nothing moved: at the end of the stream, or at an urgent
/// mark in it.
///
/// # Errors
/// What splice(2) fails with; [`unsupported`] tells which of them mean "copy instead".
pub(super) fn poll_fill(
    from: &Socket,
    pipe: &mut PipeLease,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Errno>> {
    from.poll_read(cx, Short::ProvesNothing, |fd| pipe.fill(fd))
}

/// Empties the pipe as far as the socket has room and returns how many bytes left.
///
/// # Errors
/// What splice(2) fails with; the bytes stay in the pipe.
pub(super) fn poll_drain(
    to: &Socket,
    pipe: &mut PipeLease,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Errno>> {
    to.poll_write(cx, Short::ProvesNothing, |fd| pipe.drain_to(fd))
}

/// Whether a failed fill means that this kind of socket can't be spliced from, or that a sandbox
/// keeps this process from splicing. No byte has moved then, so that copying can take over.
pub(super) fn unsupported(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS
    )
}
