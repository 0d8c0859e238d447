//! Both directions of a connection, until it ends.

mod copy;
mod direction;
mod splice;

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use rustix::io::Errno;

use self::direction::{Direction, Step};
use crate::{
    account::{
        labels::Way,
        live::Live,
        outcome::{By, Outcome, Reason},
    },
    config::Engine,
    path::{buffer::BufferPool, pipe::PipePool, socket::Socket},
};

/// What the relays of one worker share.
pub(crate) struct Pools {
    /// How bytes move.
    pub(crate) engine: Engine,
    /// For copying.
    pub(crate) buffers: Rc<BufferPool>,
    /// For splicing.
    pub(crate) pipes: Rc<PipePool>,
}

/// Moves bytes both ways until both have ended, one has failed, or the connection is cut.
///
/// An end of stream is passed on at once and leaves the other direction alive. The caller closes
/// the sockets, as [`Outcome`] says.
pub(crate) async fn relay(
    client: &Socket,
    upstream: &Socket,
    pools: &Pools,
    live: &Live,
) -> Outcome {
    let mut relay = Relay {
        to_upstream: Lane::Running(Direction::new(
            Way::ToUpstream,
            client,
            upstream,
            pools,
            live,
        )),
        to_client: Lane::Running(Direction::new(Way::ToClient, upstream, client, pools, live)),
        first_end: None,
        failure: None,
        retiring: false,
        live,
    };
    loop {
        match poll_fn(|cx| relay.poll(cx)).await {
            Some(outcome) => return outcome,
            None => tokio::task::yield_now().await,
        }
    }
}

struct Relay<'a> {
    to_upstream: Lane<'a>,
    to_client: Lane<'a>,
    /// Who ended the stream first.
    first_end: Option<By>,
    /// Who failed first, and how. What that side had sent before may still be on its way.
    failure: Option<(By, Errno)>,
    /// It is to read no more, and to end when all that it has read has left.
    retiring: bool,
    live: &'a Live,
}

/// One direction, or what is left of it.
enum Lane<'a> {
    Running(Direction<'a>),
    /// The end of stream was passed on. Its source is watched still: it may yet fail, and neither
    /// reading it nor (while the other direction has nothing to say) writing to it would tell.
    Finished(Pin<Box<dyn Future<Output = Errno> + 'a>>),
    /// Its target has failed.
    Broken,
    /// It was told to read no more.
    Stopped,
}

impl Lane<'_> {
    fn is_stalled(&self) -> bool {
        matches!(self, Self::Running(direction) if direction.is_stalled())
    }
}

impl Relay<'_> {
    /// Ready with the outcome, or with `None` when a direction yields.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        match self.live.poll_cut(cx) {
            Poll::Ready(Reason::Lifetime) => self.retire(),
            Poll::Ready(cut) => return Poll::Ready(Some(self.cut(cut))),
            Poll::Pending => {}
        }
        if self.live.take_nudge()
            && let Some(outcome) = self.look_behind_stalls()
        {
            return Poll::Ready(Some(outcome));
        }
        let mut yields = false;
        for way in [Way::ToUpstream, Way::ToClient] {
            match self.poll_lane(way, cx) {
                Poll::Ready(Flow::End(outcome)) => return Poll::Ready(Some(outcome)),
                Poll::Ready(Flow::Yield) => yields = true,
                Poll::Pending => {}
            }
        }
        match (&self.to_upstream, &self.to_client) {
            (Lane::Running(_), _) | (_, Lane::Running(_)) => {}
            _ => return Poll::Ready(Some(self.ended())),
        }
        self.live
            .stalled
            .set(self.to_upstream.is_stalled() || self.to_client.is_stalled());
        if yields {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    fn poll_lane(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<Flow> {
        let (source, target) = (way.source(), way.target());
        let lane = match way {
            Way::ToUpstream => &mut self.to_upstream,
            Way::ToClient => &mut self.to_client,
        };
        if let Lane::Running(direction) = lane {
            let Poll::Ready(step) = direction.poll(cx) else {
                return Poll::Pending;
            };
            match step {
                Step::Yield => return Poll::Ready(Flow::Yield),
                Step::Finished => {
                    // After a failure the other side is owed a reset, not an end of stream.
                    if self.failure.is_none() {
                        direction.target().finish();
                    }
                    self.first_end.get_or_insert(source);
                    self.live.half_closed.set(true);
                    *lane = Lane::Finished(Box::pin(direction.source().failed()));
                }
                Step::Stopped => *lane = Lane::Stopped,
                Step::ReadFailed(error) => {
                    self.failure.get_or_insert((source, error));
                    return Poll::Ready(Flow::End(self.ended()));
                }
                Step::WriteFailed(error) => {
                    self.failure.get_or_insert((target, error));
                    if Outcome::failed(target, error).by == By::Proxy {
                        return Poll::Ready(Flow::End(self.ended())); // nobody is gone
                    }
                    // What the failed side had sent before that is still delivered.
                    self.live.half_closed.set(true);
                    *lane = Lane::Broken;
                }
            }
        }
        if let Lane::Finished(failed) = lane
            && let Poll::Ready(error) = failed.as_mut().poll(cx)
        {
            self.failure.get_or_insert((source, error));
            return Poll::Ready(Flow::End(self.ended()));
        }
        Poll::Pending
    }

    /// Has both directions read no more.
    fn retire(&mut self) {
        self.retiring = true;
        self.live.half_closed.set(true);
        for lane in [&mut self.to_upstream, &mut self.to_client] {
            if let Lane::Running(direction) = lane {
                direction.stop();
            }
        }
    }

    /// Finds the failure of a source whose target takes no bytes. They are still owed to it, but
    /// from now on --half-close-timeout bounds the wait. A target that does not read, since it
    /// writes, and writes to a side that is gone, is told at once: it would wait for ever.
    fn look_behind_stalls(&mut self) -> Option<Outcome> {
        for (way, lane) in [
            (Way::ToUpstream, &self.to_upstream),
            (Way::ToClient, &self.to_client),
        ] {
            let Lane::Running(direction) = lane else {
                continue;
            };
            if !direction.is_stalled() {
                continue;
            }
            if let Some(error) = direction.source().failure() {
                self.failure.get_or_insert_with(|| (way.source(), error));
                self.live.half_closed.set(true);
            }
            if self.failure.is_some_and(|(by, _)| by == way.source())
                && direction.target().is_writing()
            {
                self.live.nudge(); // nor is there more to wait for
                return Some(self.ended());
            }
        }
        None
    }

    /// The outcome when this process ends the connection. Who waits in vain after a failure is told
    /// of the failure.
    fn cut(&self, reason: Reason) -> Outcome {
        match self.failure {
            Some((by, error)) if reason == Reason::HalfClose => Outcome::failed(by, error),
            None if self.retiring && reason == Reason::HalfClose => Outcome::cut(Reason::Lifetime),
            _ => Outcome::cut(reason),
        }
    }

    /// The outcome when no direction runs any more.
    fn ended(&self) -> Outcome {
        let both_finished = matches!(
            (&self.to_upstream, &self.to_client),
            (Lane::Finished(_), Lane::Finished(_))
        );
        match (self.failure, self.first_end) {
            (Some((by, error)), _) => Outcome::failed(by, error),
            (None, Some(by)) if both_finished => Outcome::new(by, Reason::Fin),
            (None, _) if self.retiring => Outcome::cut(Reason::Lifetime),
            (None, _) => Outcome::new(By::Proxy, Reason::Aborted),
        }
    }
}

/// What a lane has to say when it does not just wait.
enum Flow {
    Yield,
    End(Outcome),
}
