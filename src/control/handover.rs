//! What a service manager passes on and wants to hear: sockets in `LISTEN_FDS`, news over
//! `NOTIFY_SOCKET`.

use std::{io, os::fd::OwnedFd};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tracing::warn;

/// The listening sockets that were passed on, in their order. To be called once, before there are
/// threads: it takes the variables out of the environment.
///
/// # Errors
/// One of them is no listening TCP or unix stream socket.
pub fn inherited() -> io::Result<Vec<OwnedFd>> {
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .filter_map(|index| match passed.take_tcp_listener(index) {
            Ok(listener) => listener.map(|listener| Ok(listener.into())),
            Err(_) => match passed.take_unix_listener(index) {
                Ok(listener) => listener.map(|listener| Ok(listener.into())),
                Err(error) => Some(Err(error)),
            },
        })
        .collect()
}

/// Says that clients are let in.
pub fn notify_ready() {
    notify(NotifyState::Ready);
}

/// Says that the end has begun.
pub fn notify_stopping() {
    notify(NotifyState::Stopping);
}

/// Without a service manager it does nothing.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "NOTIFY_SOCKET does not take messages");
    }
}
