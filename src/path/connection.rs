//! One connection: reach the upstream, relay, close both sockets as it ended.

use std::{
    cell::Cell, future::poll_fn, io, net::SocketAddr, os::fd::OwnedFd, pin::pin, rc::Rc,
    task::Poll, time::Instant,
};

use rustix::io::Errno;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::{context::Context, departure::unless_gone, relay::relay, socket::Socket};
use crate::{
    account::{
        live::{ClientPeer, Live, UpstreamPeer},
        outcome::{By, Outcome, Reason},
        record::ConnectionRecord,
        rejection::Rejection,
    },
    config::SendProxy,
    edge::{
        admission::Admitted,
        proxy_protocol::{self, Announcement},
        upstream::Connector,
    },
};

/// A connection on its way from the accept loop to its worker.
pub(crate) struct Accepted {
    /// The client's socket, non-blocking, its options set.
    pub(crate) socket: OwnedFd,
    /// Who connected.
    pub(crate) client: ClientPeer,
    /// Its first bytes are a PROXY header, which says who the client is.
    pub(crate) behind_proxy: bool,
    /// When.
    pub(crate) opened: Instant,
    /// Which of the forwards it came in by.
    pub(crate) forward: usize,
    /// Its share of `--max-connections`; the accept loop waits for one when it is dropped. Absent for
    /// one that was taken in while the listener closed.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// What it holds of other bounds; to come where a PROXY header says who the client is.
    pub(crate) admitted: Admitted,
}

/// Serves one connection from its first byte to its record.
pub(crate) async fn serve(mut accepted: Accepted, context: Rc<Context>) {
    let entry = context.enter(accepted.client, accepted.opened);
    let record = ConnectionRecord::open(
        Rc::clone(entry.live()),
        context.config.log.access_log,
        context.id,
    );
    // Boxed: what only an opening needs, an idle connection does not keep.
    let opened = Box::pin(open(
        accepted.socket,
        accepted.behind_proxy,
        accepted.forward,
        entry.live(),
        &context,
        &mut accepted.admitted,
    ))
    .await;
    let outcome = match &opened {
        Ok(ends) => {
            let [client, upstream] = ends;
            let outcome = relay(client, upstream, &context.pools, entry.live()).await;
            deliver(ends, outcome, entry.live(), &context).await;
            outcome
        }
        Err(outcome) => *outcome,
    };
    record.close(outcome);
    entry.live().sockets.take(); // the last ones are this function's, and close with it
    drop(opened);
    // In this order: whoever waits for the permit finds the rest gone.
    drop((entry, accepted.admitted, accepted.permit));
}

/// The sockets of a connection that stands: the client's and the upstream's.
type Ends = [Rc<Socket>; 2];

/// Brings a connection to where bytes can be relayed: learns who the client is, where its header
/// tells, and reaches the upstream. On failure the client is reset.
async fn open(
    client: OwnedFd,
    behind_proxy: bool,
    forward: usize,
    live: &Live,
    context: &Context,
    admitted: &mut Admitted,
) -> Result<Ends, Outcome> {
    let (client, destination) = if behind_proxy {
        identify(client, live, context, admitted).await?
    } else {
        (client, None)
    };
    let reaching = reach(forward, &client, destination, live, context);
    let reached = unless_cut(live, reaching).await;
    let (upstream, peer) = match reached.unwrap_or_else(|reason| Err(Outcome::cut(reason))) {
        Ok(reached) => reached,
        Err(outcome) => {
            live.metrics.not_connected(&outcome);
            return Err(outcome);
        }
    };
    let client = match live.client.get() {
        ClientPeer::Ip(_) => Socket::tcp(client),
        ClientPeer::Unix => Socket::unix(client),
    };
    live.connected(peer);
    let client = client.map_err(unregistered)?;
    client.read_eagerly();
    let ends = [Rc::new(client), Rc::new(upstream)];
    live.sockets
        .replace(Some(ends.each_ref().map(|end| Rc::clone(end) as _)));
    Ok(ends)
}

/// Learns from a PROXY header who the client is, and lets it in or resets it. Returns where the
/// client meant to go, if the header says so.
async fn identify(
    socket: OwnedFd,
    live: &Live,
    context: &Context,
    admitted: &mut Admitted,
) -> Result<(OwnedFd, Option<SocketAddr>), Outcome> {
    let socket = Socket::tcp(socket).map_err(unregistered)?;
    let destination = admit_named(&socket, live, context, admitted).await?;
    // Registered anew when the relay is due, the socket tells anew what it holds.
    Ok((socket.release(), destination))
}

async fn admit_named(
    socket: &Socket,
    live: &Live,
    context: &Context,
    admitted: &mut Admitted,
) -> Result<Option<SocketAddr>, Outcome> {
    let header = proxy_protocol::receive(socket, live.opened, &context.alarms);
    let header = match unless_cut(live, header).await {
        Err(reason) => return Err(Outcome::cut(reason)),
        Ok(Ok(header)) => header,
        Ok(Err(error)) => {
            debug!(client = %live.client.get(), %error, "no PROXY header");
            live.metrics.rejected(Rejection::ProxyHeader);
            return Err(Outcome {
                by: By::Client,
                reason: Reason::ProxyHeader,
                errno: error.errno(),
            });
        }
    };
    if let Some(addresses) = header {
        live.client.set(ClientPeer::Ip(addresses.source));
    }
    *admitted = context
        .admission
        .admit(live.client.get())
        .map_err(|refusal| {
            live.metrics.rejected(refusal.into());
            Outcome::cut(refusal.into())
        })?;
    Ok(header.map(|addresses| addresses.destination))
}

/// The outcome of a client whose socket the reactor can't take.
fn unregistered(error: io::Error) -> Outcome {
    Outcome {
        by: By::Proxy,
        reason: Reason::Error,
        errno: Errno::from_io_error(&error),
    }
}

/// Connects to the upstream, and tells it who the client is where `--proxy-protocol` says so. The
/// header is no byte of the connection: it is counted nowhere.
async fn reach(
    forward: usize,
    client: &OwnedFd,
    destination: Option<SocketAddr>,
    live: &Live,
    context: &Context,
) -> Result<(Socket, UpstreamPeer), Outcome> {
    let pausing = Cell::new(false);
    let connector = Connector {
        timeouts: &context.config.timeouts,
        options: &context.config.sockets,
        alarms: &context.alarms,
        dialer: &context.dialer,
        outage: &context.outages[forward],
        pausing: &pausing,
    };
    let upstream = &context.config.forwards[forward].upstream;
    let connecting = connector.connect(upstream, live.opened);
    let (upstream, peer) = unless_gone(client, &pausing, connecting).await??;
    let version = context.config.proxy_protocol.send;
    if version != SendProxy::Off {
        let announcement = Announcement {
            client: live.client.get(),
            destination,
            socket: client,
        };
        announcement
            .send(&upstream, version)
            .await
            .map_err(|errno| Outcome::failed(By::Upstream, errno))?;
    }
    Ok((upstream, peer))
}

/// Runs `future` until the connection is cut.
async fn unless_cut<F: Future>(live: &Live, future: F) -> Result<F::Output, Reason> {
    let mut future = pin!(future);
    poll_fn(|cx| match live.poll_cut(cx) {
        Poll::Ready(reason) => Poll::Ready(Err(reason)),
        Poll::Pending => future.as_mut().poll(cx).map(Ok),
    })
    .await
}

/// Settles how both sockets close. They were born to be reset, and what this process cuts short stays
/// so, since neither side has seen the end. A FIN is earned by both ends of stream; the reset of one
/// side is passed on after what came before it.
async fn deliver([client, upstream]: &Ends, outcome: Outcome, live: &Live, context: &Context) {
    match (outcome.reason, outcome.by) {
        (Reason::Fin, _) => {
            client.orderly_on_drop();
            upstream.orderly_on_drop();
        }
        (Reason::Lifetime, _) => {
            delivered(client, live, context).await;
            delivered(upstream, live, context).await;
        }
        (_, By::Proxy) => {}
        (_, By::Client) => delivered(upstream, live, context).await,
        (_, By::Upstream) => delivered(client, live, context).await,
    }
}

/// Waits until what was written has reached the peer's kernel, since a reset discards what has not.
/// Nothing tells when that is so, and the kernel is asked at ticks. A peer that takes nothing is
/// given up when the connection is cut, or when it is seen to write where nobody reads any more.
async fn delivered(socket: &Socket, live: &Live, context: &Context) {
    if socket.in_flight() == 0 {
        return; // mostly so: on the loopback, acknowledgements are there when a write returns
    }
    live.half_closed.set(true); // --half-close-timeout bounds the wait
    live.stalled.set(true);
    while socket.in_flight() > 0 && !socket.is_closed() {
        let tick = Box::pin(context.alarms.wait(Instant::now()));
        match unless_cut(live, tick).await {
            Ok(()) => {}
            Err(Reason::Lifetime) => context.alarms.wait(Instant::now()).await,
            Err(_) => return,
        }
        if live.take_nudge() && socket.is_writing() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a connection keeps for as long as it lives, beside its row in the table and two
    /// registrations with the reactor. Bigger: ten thousand idle connections are to cost little.
    /// Smaller: well done, and this range should say so.
    #[test]
    fn the_future_of_a_connection_has_its_size() {
        let size = size_of_output(serve);
        assert!((450..=600).contains(&size), "{size} bytes");
    }

    fn size_of_output<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }
}
