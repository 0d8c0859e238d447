//! Clients that leave while they wait for the upstream.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::pin,
    task::{Context, Poll, ready},
};

use rustix::{io::Errno, net::sockopt};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    account::outcome::{By, Outcome, Reason},
    sys,
};

/// Runs `future` until it is done, or until the client has left.
///
/// A client that has reset its connection has left in any case. One that has ended its stream may
/// only have said all that it has to say, and wait for the answer: it counts as gone while `pausing`,
/// that is once the upstream has refused and nobody knows when it will be back. So says HAProxy's
/// `abortonclose`, too, since the many who gave up can't be told from the few who wait.
///
/// A future that is done at once costs no call. Else the socket is in the reactor for as long as this
/// lasts, and out of it again for the relay, whose registration tells anew what it holds.
///
/// # Errors
/// The outcome of a client that has left.
pub(super) async fn unless_gone<F: Future>(
    client: &OwnedFd,
    pausing: &Cell<bool>,
    future: F,
) -> Result<F::Output, Outcome> {
    let mut future = pin!(future);
    let mut watch = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // Where the reactor can't take it, nobody watches; the relay will say so.
        let watch = watch.get_or_insert_with(|| Watch::of(client));
        match watch {
            Some(watch) => watch.poll_gone(pausing.get(), cx).map(Err),
            None => Poll::Pending,
        }
    })
    .await
}

/// A client's socket in the reactor, registered for reading alone.
struct Watch<'a>(AsyncFd<BorrowedFd<'a>>);

impl<'a> Watch<'a> {
    fn of(client: &'a OwnedFd) -> Option<Self> {
        sys::register(client.as_fd(), Interest::READABLE)
            .ok()
            .map(Self)
    }

    /// Ready with the outcome of a client that has left; `at_its_end`: also by ending its stream.
    fn poll_gone(&self, at_its_end: bool, cx: &mut Context<'_>) -> Poll<Outcome> {
        // Nobody asked when it can be written to, so that it is only told to be when it hangs up.
        if let Poll::Ready(Ok(_)) = self.0.poll_write_ready(cx) {
            let error = sockopt::socket_error(&self.0).ok().and_then(Result::err);
            return Poll::Ready(left(error));
        }
        if !at_its_end {
            return Poll::Pending;
        }
        loop {
            let Ok(mut guard) = ready!(self.0.poll_read_ready(cx)) else {
                return Poll::Pending; // the runtime is going away
            };
            if guard.ready().is_read_closed() {
                return Poll::Ready(left(None));
            }
            guard.clear_ready(); // bytes, which wait for the relay
        }
    }
}

fn left(errno: Option<Errno>) -> Outcome {
    Outcome {
        by: By::Client,
        reason: Reason::Gone,
        errno,
    }
}
