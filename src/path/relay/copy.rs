//! One step of a direction through user space: socket, buffer, socket.

use std::task::{Context, Poll};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::path::{
    buffer::BufferLease,
    socket::{Short, Socket},
};

/// Receives into an empty buffer; `Ok(0)` is end of stream.
///
/// # Errors
/// What recv(2) fails with.
pub(super) fn poll_fill(
    from: &Socket,
    buffer: &mut BufferLease,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Errno>> {
    let short = Short::Exhausts(buffer.space().len());
    let received = from.poll_read(cx, short, |fd| {
        let (count, _) = recv(fd, buffer.space(), RecvFlags::empty())?;
        Ok(count)
    });
    received.map_ok(|count| {
        buffer.received(count);
        count
    })
}

/// Sends what is pending and returns how many bytes left.
///
/// # Errors
/// What send(2) fails with; the bytes stay pending.
pub(super) fn poll_drain(
    to: &Socket,
    buffer: &mut BufferLease,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Errno>> {
    let short = Short::Exhausts(buffer.pending().len());
    let sent = to.poll_write(cx, short, |fd| {
        send(fd, buffer.pending(), SendFlags::NOSIGNAL)
    });
    sent.map_ok(|count| {
        buffer.sent(count);
        count
    })
}
