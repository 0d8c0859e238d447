//! What is known of a connection while it lives, and which bound it is past.

mod table;

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    net::SocketAddr,
    os::fd::AsFd,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tcp_info::send_queue;
use tracing::debug;

use crate::{
    account::{
        labels::{Fallback, Path, Way},
        metrics::WorkerMetrics,
        outcome::Reason,
    },
    config::Timeouts,
};

pub(crate) use self::table::{LiveTable, SWEEP};

/// What is known of a connection while it lives. Its task writes, the sweep reads.
pub(crate) struct Live {
    /// Who connected: the peer, or whom its PROXY header names.
    pub(crate) client: Cell<ClientPeer>,
    /// When it was accepted.
    pub(crate) opened: Instant,
    /// Whom the connection was forwarded to; unset before that.
    pub(crate) upstream: OnceCell<UpstreamPeer>,
    /// How long that took.
    pub(crate) connect_time: Cell<Option<Duration>>,
    /// At least one direction has ended.
    pub(crate) half_closed: Cell<bool>,
    /// Bytes wait for a side that takes none.
    pub(crate) stalled: Cell<bool>,
    /// The counters of its worker.
    pub(crate) metrics: Arc<WorkerMetrics>,
    /// Bytes that have left, by way and path.
    bytes: [[Cell<u64>; 2]; 2],
    /// Age at which it is cut, jitter included.
    lifetime: Option<Duration>,
    /// All bytes at the last sweep.
    swept_bytes: Cell<u64>,
    /// The first sweep at which `swept_bytes` was what it is.
    quiet_since: Cell<Instant>,
    /// Whether it was half-closed at the last sweep.
    swept_half_closed: Cell<bool>,
    /// Bytes in both send queues when the sweep last looked, if none were written since.
    queued: Cell<Option<usize>>,
    /// Set by the sweep or a drain: the task is to end. [`Reason::Lifetime`] lets it deliver first
    /// what it has taken.
    cut: Cell<Option<Reason>>,
    /// Set by the sweep: the task is to look after a stall.
    nudged: Cell<bool>,
    /// Wakes the task to see either.
    waker: RefCell<Option<Waker>>,
    /// Where it stands in its table.
    index: Cell<usize>,
    /// Its number among the connections that its worker ever had.
    pub(crate) serial: u64,
    /// Both sockets, client's first, while bytes are relayed: for whoever asks the kernel about
    /// them.
    pub(crate) sockets: RefCell<Option<[Rc<dyn Side>; 2]>>,
}

/// The socket of one side.
pub(crate) trait Side: AsFd {
    /// Bytes that were written to it, and that its peer's kernel has not acknowledged.
    fn undelivered(&self) -> usize;
}

/// The client's address; a unix socket's client has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientPeer {
    Ip(SocketAddr),
    Unix,
}

impl fmt::Display for ClientPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The upstream's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamPeer {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for UpstreamPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Live {
    fn new(
        client: ClientPeer,
        opened: Instant,
        timeouts: &Timeouts,
        metrics: Arc<WorkerMetrics>,
        serial: u64,
    ) -> Self {
        Self {
            client: Cell::new(client),
            opened,
            upstream: OnceCell::new(),
            connect_time: Cell::new(None),
            half_closed: Cell::new(false),
            stalled: Cell::new(false),
            metrics,
            bytes: Default::default(),
            lifetime: timeouts.lifetime.map(|lifetime| jittered(lifetime, serial)),
            swept_bytes: Cell::new(0),
            quiet_since: Cell::new(opened),
            swept_half_closed: Cell::new(false),
            queued: Cell::new(None),
            cut: Cell::new(None),
            nudged: Cell::new(false),
            waker: RefCell::new(None),
            index: Cell::new(0),
            serial,
            sockets: RefCell::default(),
        }
    }

    /// Notes that the upstream was reached.
    pub(crate) fn connected(&self, upstream: UpstreamPeer) {
        debug!(client = %self.client.get(), %upstream, "connected");
        let time = self.opened.elapsed();
        self.connect_time.set(Some(time));
        self.metrics.connected(time);
        drop(self.upstream.set(upstream)); // it happens once
    }

    /// Notes bytes that have left.
    pub(crate) fn moved(&self, way: Way, path: Path, count: usize) {
        let cell = &self.bytes[way as usize][path as usize];
        cell.set(cell.get() + count as u64);
        self.metrics.moved(way, path, count);
    }

    /// Notes a direction that copied what it would have spliced.
    pub(crate) fn fell_back(&self, reason: Fallback) {
        debug!(client = %self.client.get(), ?reason, "copying instead of splicing");
        self.metrics.fell_back(reason);
    }

    /// Bytes that have left in one direction.
    pub(crate) fn bytes(&self, way: Way) -> u64 {
        self.bytes[way as usize].iter().map(Cell::get).sum()
    }

    /// By which path bytes went: `copy`, `splice` or `both`.
    pub(crate) fn path(&self) -> &'static str {
        let used = |path: Path| self.bytes.iter().any(|way| way[path as usize].get() > 0);
        match (used(Path::Copy), used(Path::Splice)) {
            (_, false) => "copy",
            (false, true) => "splice",
            (true, true) => "both",
        }
    }

    /// Bytes that have left in one direction, and that its target's kernel has not acknowledged. Asks
    /// the kernel; zero before the connection stands, and once its sockets are given up.
    pub(crate) fn undelivered(&self, way: Way) -> usize {
        let sockets = self.sockets.borrow();
        let queued = sockets.as_ref().map_or(0, |[client, upstream]| match way {
            Way::ToUpstream => upstream.undelivered(),
            Way::ToClient => client.undelivered(),
        });
        // A PROXY header, which goes first, may be among them, and is none of the connection's bytes.
        usize::try_from(self.bytes(way)).map_or(queued, |bytes| queued.min(bytes))
    }

    /// Ready when the task is to end. Else, and where it may deliver first, it is woken when there is
    /// more to say.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Reason> {
        let cut = self.cut.get();
        if let Some(reason) = cut
            && reason != Reason::Lifetime
        {
            return Poll::Ready(reason);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        cut.map_or(Poll::Pending, Poll::Ready)
    }

    /// Whether the sweep found the connection stalled since this was last asked.
    pub(crate) fn take_nudge(&self) -> bool {
        self.nudged.take()
    }

    /// Has the task end. The first reason stands, but what is to end at once does not wait for what
    /// may deliver first.
    pub(crate) fn cut(&self, reason: Reason) {
        if matches!(self.cut.get(), None | Some(Reason::Lifetime)) {
            self.cut.set(Some(reason));
        }
        self.wake();
    }

    /// Has the task look after a stall.
    pub(crate) fn nudge(&self) {
        self.nudged.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The bound that this connection is past, if any. Activity is seen from the byte counts and the
    /// send queues, so that the path of a byte needs no clock; it is as exact as the sweeps are
    /// frequent.
    fn overdue(&self, now: Instant, timeouts: &Timeouts) -> Option<Reason> {
        let bytes = self.bytes(Way::ToUpstream) + self.bytes(Way::ToClient);
        let moved = bytes != self.swept_bytes.replace(bytes);
        let delivering = if moved {
            self.queued.set(None);
            false
        } else {
            self.look_at_queues()
        };
        let half_closed = self.half_closed.get();
        if moved || delivering || half_closed != self.swept_half_closed.replace(half_closed) {
            self.quiet_since.set(now);
        }
        let quiet = now.saturating_duration_since(self.quiet_since.get());
        let age = now.saturating_duration_since(self.opened);
        if self.cut.get() == Some(Reason::Lifetime) {
            let bound = timeouts.half_close.unwrap_or(LIFETIME_GRACE);
            return (quiet >= bound).then_some(Reason::HalfClose);
        }
        if half_closed && timeouts.half_close.is_some_and(|bound| quiet >= bound) {
            return Some(Reason::HalfClose);
        }
        // Before the upstream is connected, --connect-timeout is the bound.
        if self.upstream.get().is_some() && timeouts.idle.is_some_and(|bound| quiet >= bound) {
            return Some(Reason::Idle);
        }
        // At the end of its life a connection is cut in a quiet moment, if it has one.
        let resting = self.queued.get() == Some(0);
        let aged = self
            .lifetime
            .is_some_and(|bound| age >= bound && (resting || age >= bound + LIFETIME_GRACE));
        aged.then_some(Reason::Lifetime)
    }

    /// Whether a peer has taken some of what was written to it before the last sweep: one that reads
    /// slowly is not silent. Where nothing was left then, nobody is asked.
    fn look_at_queues(&self) -> bool {
        let before = self.queued.get();
        if before == Some(0) {
            return false;
        }
        let sockets = self.sockets.borrow();
        let queued = sockets.iter().flatten().flat_map(send_queue).sum();
        self.queued.set(Some(queued));
        before.map_or(queued > 0, |before| queued < before)
    }

    /// Takes back time in which the peers had no turn, since this worker had none.
    fn excuse(&self, held: Duration, now: Instant) {
        let since = self.quiet_since.get() + held;
        self.quiet_since.set(since.min(now));
    }
}

/// How long a connection past `--max-lifetime` may go on while it has no quiet moment.
const LIFETIME_GRACE: Duration = Duration::from_secs(10);

/// `lifetime` give or take a tenth, so that connections opened together do not end together.
fn jittered(lifetime: Duration, serial: u64) -> Duration {
    // Fibonacci hashing (Knuth, TAOCP 6.4) spreads consecutive numbers evenly over 0..1024.
    let spread = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    let factor = 0.9 + 0.2 * (spread as f64) / 1024.0;
    lifetime.mul_f64(factor)
}

#[cfg(test)]
mod tests;
