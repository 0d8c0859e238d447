//! What a service manager passes on and wants to hear: sockets in `LISTEN_FDS`, news over
//! `NOTIFY_SOCKET`.

use std::{os::fd::OwnedFd, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tracing::{error, warn};

/// The listening sockets that were passed on, in their order. To be called once, before there are
/// threads: it takes the variables out of the environment.
///
/// # Errors
/// One of them is no TCP or unix stream socket.
pub fn inherited() -> Result<Vec<OwnedFd>, Useless> {
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .filter_map(|index| match passed.take_tcp_listener(index) {
            Ok(listener) => listener.map(|listener| Ok(listener.into())),
            Err(_) => match passed.take_unix_listener(index) {
                Ok(listener) => listener.map(|listener| Ok(listener.into())),
                Err(_) => Some(Err(Useless(FIRST_PASSED + index))),
            },
        })
        .collect()
}

/// The number of the first descriptor that is passed on, by sd_listen_fds(3).
const FIRST_PASSED: usize = 3;

/// A descriptor in `LISTEN_FDS` by which no client can come.
#[derive(Debug, thiserror::Error)]
#[error("LISTEN_FDS: descriptor {0} is no TCP or unix stream socket")]
pub struct Useless(usize);

/// Says that clients are let in.
pub fn notify_ready() {
    notify(NotifyState::Ready);
}

/// Says that the end has begun.
pub fn notify_stopping() {
    notify(NotifyState::Stopping);
}

/// Says that the end takes so much longer, and that this is meant to be.
pub fn notify_extend(time: Duration) {
    let microseconds = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    notify(NotifyState::ExtendTimeoutUsec(microseconds));
}

/// Feeds the watchdog for ever, while `stuck` names no worker that is: a process with one is to be
/// restarted. Without a watchdog it just never ends.
pub async fn feed_watchdog(stuck: impl Fn() -> Option<usize>) {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(period / 3);
    loop {
        ticks.tick().await;
        match stuck() {
            None => notify(NotifyState::Watchdog),
            Some(worker) => error!(worker, "a worker is stuck; the watchdog is not fed"),
        }
    }
}

/// Without a service manager it does nothing.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "NOTIFY_SOCKET does not take messages");
    }
}
