//! What a service manager passes on: sockets, in `LISTEN_FDS`.

use std::os::fd::OwnedFd;

use listenfd::ListenFd;

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
