//! Signals, as the words that a server understands.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{drain::Stop, handover};

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
        loop {
            let stop = tokio::select! {
                Some(()) = self.terminate.recv() => Stop::Drain,
                Some(()) = self.interrupt.recv() => {
                    interrupts += 1;
                    if interrupts == 1 { Stop::Quick } else { Stop::Now }
                }
                else => return,
            };
            handover::notify_stopping();
            if stops.send(stop).is_err() {
                return;
            }
        }
    }
}
