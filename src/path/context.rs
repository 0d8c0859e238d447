//! What the connections of a worker share, and their places among each other.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{alarms::Alarms, relay::Pools};
use crate::{
    account::{
        live::{ClientPeer, Live, LiveTable},
        metrics::WorkerMetrics,
        outcome::Reason,
        row::Row,
    },
    config::Config,
    edge::{admission::Admission, dial::Dialer, retry::Outage},
};

/// What the connections of a worker share.
pub(crate) struct Context {
    pub(crate) id: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) pools: Pools,
    pub(crate) alarms: Alarms,
    pub(crate) dialer: Dialer,
    /// What is known of each forward's upstream, while it refuses.
    pub(crate) outages: Box<[Outage]>,
    /// For those whom only a PROXY header names.
    pub(crate) admission: Arc<Admission>,
    pub(super) table: LiveTable,
    pub(super) metrics: Arc<WorkerMetrics>,
}

impl Context {
    /// Enters a connection in the worker's table.
    pub(crate) fn enter(&self, client: ClientPeer, opened: Instant) -> Entry<'_> {
        let live = self.table.enter(
            client,
            opened,
            &self.config.timeouts,
            Arc::clone(&self.metrics),
        );
        Entry {
            live,
            context: self,
        }
    }

    /// Ends every connection, and whichever comes yet.
    pub(super) fn cut_all(&self, reason: Reason) {
        self.table.cut_all(reason);
    }

    /// Rings the alarms that are due, and looks after the connections and pools where it is time
    /// for a `sweep`.
    pub(super) fn tick(&self, now: Instant, sweep: bool) {
        self.alarms.ring(now);
        if sweep {
            self.table.sweep(now, &self.config.timeouts);
            self.pools.buffers.trim();
            self.pools.pipes.trim();
            self.metrics.delay.soon();
            self.metrics.pulse.pass(now);
            self.publish_pipes();
        }
    }

    /// Up to `limit` connections from serial number `first` on.
    pub(super) fn show(&self, first: u64, limit: usize) -> Vec<Row> {
        let page = self.table.page(first, limit);
        page.iter().map(|live| Row::of(live, self.id)).collect()
    }

    fn publish_pipes(&self) {
        let (pool, counts) = (&self.pools.pipes, &self.metrics.pipes);
        counts.alive.store(pool.alive(), Ordering::Relaxed);
        counts.free.store(pool.free(), Ordering::Relaxed);
        if pool.granted() > 0 {
            counts.granted.store(pool.granted(), Ordering::Relaxed);
        }
    }
}

/// A connection's row in the table of its worker, for as long as it lives.
pub(crate) struct Entry<'a> {
    live: Rc<Live>,
    context: &'a Context,
}

impl Entry<'_> {
    pub(crate) fn live(&self) -> &Rc<Live> {
        &self.live
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.table.leave(&self.live);
        // The dispatcher counted it in.
        self.context
            .metrics
            .connections
            .fetch_sub(1, Ordering::Release);
    }
}
