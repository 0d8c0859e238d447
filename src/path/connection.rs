//! One connection: reach the upstream, relay, close both sockets as it ended.

use std::{
    future::poll_fn,
    os::fd::OwnedFd,
    rc::Rc,
    task::{Poll, ready},
    time::Instant,
};

use rustix::io::Errno;
use tokio::sync::OwnedSemaphorePermit;

use super::{relay::relay, socket, socket::Socket, worker::Context};
use crate::{
    account::{
        live::{ClientPeer, Live, UpstreamPeer},
        record::{By, ConnectionRecord, Outcome, Reason},
    },
    config::UpstreamAddr,
    edge::upstream::Connector,
};

/// A connection on its way from the accept loop to its worker.
pub(crate) struct Accepted {
    /// The client's socket, non-blocking, its options set.
    pub(crate) socket: OwnedFd,
    /// Who connected.
    pub(crate) client: ClientPeer,
    /// When.
    pub(crate) opened: Instant,
    /// Which of the forwards it came in by.
    pub(crate) forward: usize,
    /// Its share of `--max-connections`; the accept loop waits for one when it is dropped.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Serves one connection from its first byte to its record.
pub(crate) async fn serve(accepted: Accepted, context: Rc<Context>) {
    let Accepted {
        socket,
        client,
        opened,
        forward,
        permit,
    } = accepted;
    let entry = context.enter(client, opened);
    let record = ConnectionRecord::open(entry.live(), context.config.log.access_log, context.id);
    let upstream = &context.config.forwards[forward].upstream;
    let outcome = forward_to(upstream, socket, &entry.live(), &context).await;
    record.close(outcome);
    drop((entry, permit)); // in this order: whoever waits for the permit finds the entry gone
}

async fn forward_to(
    upstream: &UpstreamAddr,
    client: OwnedFd,
    live: &Live,
    context: &Context,
) -> Outcome {
    let (upstream, peer) = match connect(upstream, live, context).await {
        Ok(connected) => connected,
        Err(outcome) => {
            live.metrics.not_connected(&outcome);
            socket::reset(client); // at once: whoever is behind it can try elsewhere
            return outcome;
        }
    };
    let registered = match live.client {
        ClientPeer::Ip(_) => Socket::tcp(client),
        ClientPeer::Unix => Socket::unix(client),
    };
    let client = match registered {
        Ok(client) => client,
        Err(error) => {
            let errno = Errno::from_io_error(&error);
            return Outcome {
                by: By::Proxy,
                reason: Reason::Error,
                errno,
            };
        }
    };
    client.read_eagerly();
    live.connected(peer);
    let (client, upstream) = (Rc::new(client), Rc::new(upstream));
    live.sockets
        .replace(Some([Rc::clone(&client) as _, Rc::clone(&upstream) as _]));
    let outcome = relay(&client, &upstream, &context.pools, live).await;
    close(&client, &upstream, outcome, live).await;
    live.sockets.take(); // the last ones are this function's, and close with it
    outcome
}

async fn connect(
    upstream: &UpstreamAddr,
    live: &Live,
    context: &Context,
) -> Result<(Socket, UpstreamPeer), Outcome> {
    let connector = Connector {
        timeouts: &context.config.timeouts,
        options: &context.config.sockets,
        alarms: &context.alarms,
        resolver: &context.resolver,
    };
    let mut connecting = Box::pin(connector.connect(upstream, live.opened));
    poll_fn(|cx| match live.poll_cut(cx) {
        Poll::Ready(reason) => Poll::Ready(Err(Outcome::cut(reason))),
        Poll::Pending => connecting.as_mut().poll(cx),
    })
    .await
}

/// Settles how both sockets close: FIN stays FIN, a reset stays a reset, and what this process cuts short is
/// told to both sides as a reset, since neither has seen the end.
async fn close(client: &Socket, upstream: &Socket, outcome: Outcome, live: &Live) {
    match (outcome.reason, outcome.by) {
        (Reason::Fin, _) => {}
        (_, By::Proxy) => {
            client.reset_on_drop();
            upstream.reset_on_drop();
        }
        (_, By::Client) => {
            flush(upstream, live).await;
            upstream.reset_on_drop();
        }
        (_, By::Upstream) => {
            flush(client, live).await;
            client.reset_on_drop();
        }
    }
}

/// Waits until what was written before a reset has left this host, since a reset discards what has
/// not. A peer that takes nothing is given up when the connection is cut.
async fn flush(socket: &Socket, live: &Live) {
    live.half_closed.set(true); // --half-close-timeout bounds the wait
    let mut sent = Box::pin(socket.sent());
    poll_fn(|cx| match live.poll_cut(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => {
            ready!(sent.as_mut().poll(cx));
            Poll::Ready(())
        }
    })
    .await;
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
        assert!((500..=700).contains(&size), "{size} bytes");
    }

    fn size_of_output<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }
}
