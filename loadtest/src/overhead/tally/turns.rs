//! The turns of one arm, all kinds of calls together.

use std::time::Duration;

use crate::report::TargetTotals;

/// The turns of one arm, warm-up excluded.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::overhead) struct Turns {
    /// How long they took together.
    pub(in crate::overhead) time: Duration,
    /// CPU time of the whole machine meanwhile.
    pub(in crate::overhead) machine: Duration,
    /// Calls whose time came.
    pub(in crate::overhead) offered: u64,
    /// Those of them that were never made, for too many waited before them.
    pub(in crate::overhead) unsent: u64,
    /// Calls made.
    pub(in crate::overhead) requests: u64,
    /// Those of them that were answered before their turn was over.
    pub(in crate::overhead) answered: u64,
    /// Size of all answers, bytes.
    pub(in crate::overhead) bytes: u64,
}

impl Turns {
    /// Counts a turn.
    pub(super) fn add(&mut self, turn: &Turn) {
        self.time += turn.time;
        self.machine += turn.machine;
        self.offered += turn.offered;
        self.unsent += turn.unsent;
    }

    /// As reports have it, in open loop with what was offered.
    pub(super) fn report(self, target: &str, is_open: bool) -> TargetTotals {
        let time = self.time.as_secs_f64().max(1e-9);
        TargetTotals {
            target: target.to_owned(),
            requests: self.requests,
            answer_bytes: self.bytes,
            offered_per_s: is_open.then(|| self.offered as f64 / time),
            achieved_per_s: self.answered as f64 / time,
            unsent: self.unsent,
            machine_cpu_us_per_request: self.machine.as_secs_f64() * 1e6
                / self.requests.max(1) as f64,
        }
    }
}

/// One turn of one arm, but for its answers.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::overhead) struct Turn {
    /// How long it took; in open loop, how long calls came due.
    pub(in crate::overhead) time: Duration,
    /// CPU time of the whole machine meanwhile.
    pub(in crate::overhead) machine: Duration,
    /// Calls whose time came.
    pub(in crate::overhead) offered: u64,
    /// Those of them that were not made.
    pub(in crate::overhead) unsent: u64,
}
