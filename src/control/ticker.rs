//! Tells the workers that time passes.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{account::live::SWEEP, path::listener::Gate};

/// How often alarms ring, while any is set.
const ALARMS: Duration = Duration::from_millis(50);

/// Ticks for ever: every second, when connections are swept and pools trimmed, for all workers, faster for those with an alarm set.
pub(crate) async fn run(gate: Arc<Gate>, alarm_set: Arc<Notify>) {
    let mut next_sweep = Instant::now() + SWEEP;
    let mut next_ring = None;
    loop {
        // An alarm that is set later does not put off the tick that others wait for.
        next_ring = alarms(&gate).then(|| next_ring.unwrap_or_else(|| Instant::now() + ALARMS));
        let next = next_ring.map_or(next_sweep, |ring: Instant| ring.min(next_sweep));
        tokio::select! {
            () = tokio::time::sleep_until(next) => next_ring = None,
            () = alarm_set.notified() => continue, // the first alarm: look again when to tick
        }
        let now = Instant::now();
        let sweep = now >= next_sweep;
        if sweep {
            next_sweep = now + SWEEP;
        }
        let dispatch = gate.dispatch.lock().unwrap_or_else(PoisonError::into_inner);
        for worker in dispatch.workers() {
            if sweep {
                worker.metrics.pulse.send(now.into_std());
            }
            if sweep || worker.metrics.alarms.load(Ordering::Acquire) > 0 {
                worker.tick(sweep);
            }
        }
    }
}

fn alarms(gate: &Gate) -> bool {
    let dispatch = gate.dispatch.lock().unwrap_or_else(PoisonError::into_inner);
    dispatch
        .workers()
        .iter()
        .any(|worker| worker.metrics.alarms.load(Ordering::Acquire) > 0)
}
