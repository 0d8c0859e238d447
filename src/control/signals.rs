//! Signals, as the words that a server understands.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use super::{drain::Stop, handover};

/// By how much the end is put off at a time, where a service manager waits for it.
const EXTEND: Duration = Duration::from_secs(10);

/// The signals that end the process, from now on caught.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches SIGTERM and SIGINT.
    ///
    /// # Errors
    /// The handlers can't be installed.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Passes them on for ever: SIGTERM drains, SIGINT stops quickly, a second SIGINT at once.
    pub async fn pass_on(mut self, stops: mpsc::UnboundedSender<Stop>) {
        let mut interrupts = 0;
        let mut stopping = false;
        loop {
            let stop = tokio::select! {
                () = sleep(EXTEND / 2), if stopping => {
                    handover::notify_extend(EXTEND);
                    continue;
                }
                Some(()) = self.terminate.recv() => Stop::Drain,
                Some(()) = self.interrupt.recv() => {
                    interrupts += 1;
                    if interrupts == 1 { Stop::Quick } else { Stop::Now }
                }
                else => return,
            };
            if !stopping {
                handover::notify_stopping();
                handover::notify_extend(EXTEND);
                stopping = true;
            }
            if stops.send(stop).is_err() {
                return;
            }
        }
    }
}
