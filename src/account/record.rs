//! The final account of a connection: who ended it, why, after how many bytes each way.

use std::{rc::Rc, time::Duration};

use tracing::info;

use crate::{
    account::{
        labels::Way,
        live::{Live, UpstreamPeer},
        outcome::{Outcome, Reason},
    },
    config::AccessLog,
    sys::errno_name,
};

/// A connection's account, opened when it is accepted and closed exactly once: by
/// [`ConnectionRecord::close`], or as aborted when its task is dropped.
pub(crate) struct ConnectionRecord {
    live: Rc<Live>,
    access_log: AccessLog,
    worker: usize,
    closed: bool,
}

impl ConnectionRecord {
    pub(crate) fn open(live: Rc<Live>, access_log: AccessLog, worker: usize) -> Self {
        Self {
            live,
            access_log,
            worker,
            closed: false,
        }
    }

    /// Counts the end of the connection and logs it as `--access-log` says. To be called while its
    /// sockets are still there: they tell what was not delivered.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.write(outcome);
    }

    fn write(&mut self, outcome: Outcome) {
        self.closed = true;
        let duration = self.live.opened.elapsed();
        self.live
            .metrics
            .closed(outcome.by, outcome.reason, duration);
        // After both ends of stream the kernel goes on delivering; whatever else ends a connection
        // throws away what is not delivered yet.
        let undelivered = match outcome.reason {
            Reason::Fin => [0; 2],
            _ => Way::ALL.map(|way| self.live.undelivered(way)),
        };
        self.live.metrics.threw_away(undelivered);
        let wanted = match self.access_log {
            AccessLog::Off => false,
            AccessLog::Errors => outcome.reason != Reason::Fin,
            AccessLog::All => true,
        };
        if wanted {
            self.log(outcome, duration, undelivered);
        }
    }

    fn log(&self, outcome: Outcome, duration: Duration, undelivered: [usize; 2]) {
        let live = &*self.live;
        let [to_upstream, to_client] = undelivered.map(|bytes| (bytes > 0).then_some(bytes));
        info!(
            target: "access",
            client = %live.client.get(),
            upstream = live.upstream.get().map(UpstreamPeer::to_string),
            worker = self.worker,
            connect_ms = live.connect_time.get().map(milliseconds),
            duration_ms = milliseconds(duration),
            bytes_to_upstream = live.bytes(Way::ToUpstream),
            bytes_to_client = live.bytes(Way::ToClient),
            undelivered_to_upstream = to_upstream,
            undelivered_to_client = to_client,
            closed_by = %outcome.by,
            reason = %outcome.reason,
            errno = outcome.errno.map(errno_name),
            path = live.path(),
            "connection closed"
        );
    }
}

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        if !self.closed {
            self.write(Outcome::cut(Reason::Aborted));
        }
    }
}

/// Milliseconds with three decimals: connects to a local upstream take microseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
