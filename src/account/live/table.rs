//! The connections of one worker, and the sweep that ends those past a bound.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ClientPeer, Live};
use crate::{
    account::{metrics::WorkerMetrics, outcome::Reason},
    config::Timeouts,
};

/// How often the connections are swept.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);

/// How long bytes have to wait for a side that takes none before the task is to look after that: longer
/// than a reader of 30 KB/s takes to open a window of 128 KiB again, which is the kernel's first.
const STALL: Duration = Duration::from_secs(5);

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct LiveTable {
    rows: RefCell<Vec<Rc<Live>>>,
    /// Connections ever entered; the source of the lifetimes' jitter.
    entered: Cell<u64>,
    /// Set when all were ended: whoever enters later is ended, too.
    closed: Cell<Option<Reason>>,
    /// The last sweep.
    swept: Cell<Option<Instant>>,
    /// It judged nobody, since it came late.
    excused: Cell<bool>,
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
        let live = Rc::new(Live::new(client, opened, timeouts, metrics, serial));
        live.cut.set(self.closed.get());
        live.index.set(rows.len());
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

    /// Ends the connections that are past a bound. A sweep that comes late ends none, since what came
    /// meanwhile has had no turn yet: unless the one before did the same.
    pub(crate) fn sweep(&self, now: Instant, timeouts: &Timeouts) {
        let last = self.swept.replace(Some(now)).unwrap_or(now);
        let held = now.saturating_duration_since(last).saturating_sub(SWEEP);
        let excused = held > SWEEP / 2 && !self.excused.get();
        self.excused.set(excused);
        for live in self.rows.borrow().iter() {
            if excused {
                live.excuse(held, now);
            } else if let Some(reason) = live.overdue(now, timeouts) {
                live.cut(reason);
            } else if live.stalled.get() && live.quiet_since.get() + STALL <= now {
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

    /// Ends all, and whoever enters from now on.
    pub(crate) fn cut_all(&self, reason: Reason) {
        self.closed.set(Some(reason));
        for live in self.rows.borrow().iter() {
            live.cut(reason);
        }
    }
}
