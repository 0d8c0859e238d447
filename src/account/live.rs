//! The connections that live on a worker, and the sweep that ends those past a bound.

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

use tracing::debug;

use crate::{
    account::{
        labels::{Fallback, Path, Way},
        metrics::WorkerMetrics,
        outcome::Reason,
    },
    config::Timeouts,
};

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
    /// Set by the sweep or a drain: the task is to end.
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
    pub(crate) sockets: RefCell<Option<[Rc<dyn AsFd>; 2]>>,
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

    /// Ready when the task is to end. Else it is woken when that happens.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.cut.get() {
            return Poll::Ready(reason);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the sweep found the connection stalled since this was last asked.
    pub(crate) fn take_nudge(&self) -> bool {
        self.nudged.take()
    }

    fn cut(&self, reason: Reason) {
        if self.cut.get().is_none() {
            self.cut.set(Some(reason));
        }
        self.wake();
    }

    fn nudge(&self) {
        self.nudged.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The bound that this connection is past, if any. Activity is seen from the byte counts, so
    /// that the path of a byte needs no clock; it is as exact as the sweeps are frequent.
    fn overdue(&self, now: Instant, timeouts: &Timeouts) -> Option<Reason> {
        let bytes = self.bytes(Way::ToUpstream) + self.bytes(Way::ToClient);
        let moved = bytes != self.swept_bytes.replace(bytes);
        let half_closed = self.half_closed.get();
        if moved || half_closed != self.swept_half_closed.replace(half_closed) {
            self.quiet_since.set(now);
        }
        let quiet = now.saturating_duration_since(self.quiet_since.get());
        let age = now.saturating_duration_since(self.opened);
        if half_closed && timeouts.half_close.is_some_and(|bound| quiet >= bound) {
            return Some(Reason::HalfClose);
        }
        // Before the upstream is connected, --connect-timeout is the bound.
        if self.upstream.get().is_some() && timeouts.idle.is_some_and(|bound| quiet >= bound) {
            return Some(Reason::Idle);
        }
        // At the end of its life a connection is cut in a quiet moment, if it has one.
        let aged = self
            .lifetime
            .is_some_and(|bound| age >= bound && (!moved || age >= bound + LIFETIME_GRACE));
        aged.then_some(Reason::Lifetime)
    }
}

/// How long a connection past `--max-lifetime` may go on while bytes move at every sweep.
const LIFETIME_GRACE: Duration = Duration::from_secs(10);

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct LiveTable {
    rows: RefCell<Vec<Rc<Live>>>,
    /// Connections ever entered; the source of the lifetimes' jitter.
    entered: Cell<u64>,
}

impl LiveTable {
    /// Enters a connection.
    pub(crate) fn enter(
        &self,
        client: ClientPeer,
        opened: Instant,
        timeouts: &Timeouts,
        metrics: Arc<WorkerMetrics>,
    ) -> Rc<Live> {
        let serial = self.entered.get();
        self.entered.set(serial.wrapping_add(1));
        let mut rows = self.rows.borrow_mut();
        let live = Rc::new(Live {
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
            cut: Cell::new(None),
            nudged: Cell::new(false),
            waker: RefCell::new(None),
            index: Cell::new(rows.len()),
            serial,
            sockets: RefCell::default(),
        });
        rows.push(Rc::clone(&live));
        live
    }

    /// Strikes a connection out.
    pub(crate) fn leave(&self, live: &Live) {
        let mut rows = self.rows.borrow_mut();
        let index = live.index.get();
        rows.swap_remove(index);
        if let Some(moved) = rows.get(index) {
            moved.index.set(index);
        }
        if rows.len() * 4 < rows.capacity() {
            let room = rows.len() * 2;
            rows.shrink_to(room); // ten thousand connections at once are no reason to keep room for them
        }
    }

    /// Ends the connections that are past a bound.
    pub(crate) fn sweep(&self, now: Instant, timeouts: &Timeouts) {
        for live in self.rows.borrow().iter() {
            if let Some(reason) = live.overdue(now, timeouts) {
                live.cut(reason);
            } else if live.stalled.get() && live.quiet_since.get() < now {
                live.nudge();
            }
        }
    }

    /// Shows up to `limit` connections, by their serial numbers, from `first` on.
    pub(crate) fn page(&self, first: u64, limit: usize) -> Vec<Rc<Live>> {
        let rows = self.rows.borrow();
        let mut page: Vec<_> = rows.iter().filter(|live| live.serial >= first).collect();
        if page.len() > limit {
            page.select_nth_unstable_by_key(limit, |live| live.serial);
            page.truncate(limit);
        }
        page.sort_unstable_by_key(|live| live.serial);
        page.into_iter().cloned().collect()
    }

    /// Ends all.
    pub(crate) fn cut_all(&self, reason: Reason) {
        for live in self.rows.borrow().iter() {
            live.cut(reason);
        }
    }
}

/// `lifetime` give or take a tenth, so that connections opened together do not end together.
fn jittered(lifetime: Duration, serial: u64) -> Duration {
    // Fibonacci hashing (Knuth, TAOCP 6.4) spreads consecutive numbers evenly over 0..1024.
    let spread = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    let factor = 0.9 + 0.2 * (spread as f64) / 1024.0;
    lifetime.mul_f64(factor)
}
