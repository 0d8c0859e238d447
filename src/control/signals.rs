//! Signals, as the words that a server understands.
//!
//! They are held back from the first line of `main` on, and read as a file (signalfd(2)) once the
//! server runs. A handler could stand only later, and what came before it would be lost, or kill:
//! the kernel throws away what the first process of a container does not handle, but never what it
//! holds back. And a parent that held them back itself, a mask that survives exec(2), makes no
//! difference.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
    time::sleep,
};
use tracing::info;

use super::{drain::Stop, notify::Notifier};
use crate::sys;

/// By how much the end is put off at a time, where a service manager waits for it.
const EXTEND: Duration = Duration::from_secs(10);

/// Signals that wait until somebody looks.
#[must_use]
pub struct Held(SigSet);

impl Held {
    /// Holds SIGTERM, SIGINT and SIGHUP back, and SIGXFSZ for good, so that a write beyond
    /// `RLIMIT_FSIZE` just fails. To be called before there are threads, which inherit it.
    ///
    /// # Errors
    /// The kernel, or a sandbox around the process, refuses.
    pub fn hold() -> io::Result<Self> {
        let held = [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGXFSZ,
        ];
        let held = SigSet::from_iter(held);
        held.thread_block()?;
        Ok(Self(held))
    }

    /// Lets them do what they do by default, also those that came meanwhile, and also where the
    /// parent held them back.
    ///
    /// # Errors
    /// As for [`Held::hold`].
    pub fn release(self) -> io::Result<()> {
        Ok(self.0.thread_unblock()?)
    }
}

/// The signals that steer the process, in the order of their numbers, once each however often they
/// came since the last look.
pub struct Signals(AsyncFd<OwnedFd>);

impl Signals {
    /// Takes the signals that are held, those that wait already first. To be called on a tokio
    /// runtime with I/O.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn of(held: &Held) -> io::Result<Self> {
        let mut steering = held.0;
        steering.remove(Signal::SIGXFSZ);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&steering, flags)?;
        Ok(Self(sys::register(fd.into(), Interest::READABLE)?))
    }

    /// Passes them on for ever: SIGTERM drains, SIGINT stops quickly, a second SIGINT at once.
    /// SIGHUP does nothing, and says so once: there is nothing to reload, and a terminal that is
    /// closed ends no connection.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn pass_on(
        self,
        stops: mpsc::UnboundedSender<Stop>,
        manager: &Notifier,
    ) -> io::Result<()> {
        let (mut interrupted, mut hung_up, mut stopping) = (false, false, false);
        loop {
            let signal = tokio::select! {
                () = sleep(EXTEND / 2), if stopping => {
                    manager.extend(EXTEND);
                    continue;
                }
                signal = self.next() => signal?,
            };
            let stop = match signal {
                Signal::SIGTERM => Stop::Drain,
                Signal::SIGINT if interrupted => Stop::Now,
                Signal::SIGINT => Stop::Quick,
                _ => {
                    if !hung_up {
                        info!("SIGHUP: there is nothing to reload, and it ends nothing");
                    }
                    hung_up = true;
                    continue;
                }
            };
            interrupted |= signal == Signal::SIGINT;
            if !stopping {
                manager.stopping();
                manager.extend(EXTEND);
                stopping = true;
            }
            if stops.send(stop).is_err() {
                return Ok(());
            }
        }
    }

    async fn next(&self) -> io::Result<Signal> {
        loop {
            let mut ready = self.0.readable().await?;
            match read(ready.get_inner()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                signal => return signal,
            }
        }
    }
}

/// Bytes that the kernel tells of each signal; see signalfd(2). Its number comes first.
const TOLD: usize = 128;

fn read(fd: impl AsFd) -> io::Result<Signal> {
    let mut told = [0; TOLD];
    rustix::io::read(fd, &mut told)?;
    let [a, b, c, d, ..] = told;
    let number = i32::from_ne_bytes([a, b, c, d]);
    Ok(Signal::try_from(number)?)
}
