//! Socket options. Accepted sockets inherit them from their listener, so that accepting costs one
//! call; upstream sockets get them one by one.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{io::Errno, net::sockopt};

use crate::config::SocketOptions;

/// Keepalive probes that go unanswered before a peer is given up; Linux has nine, which with the default
/// `--keepalive` are five minutes.
const PROBES: u32 = 3;

/// Sets what concerns a TCP connection, on a listener or on a socket that is to connect.
///
/// # Errors
/// The option that the kernel refuses, by the name of its flag.
pub(crate) fn set_tcp(
    socket: &OwnedFd,
    options: &SocketOptions,
) -> Result<(), (&'static str, Errno)> {
    // Born to be reset: whatever closes the socket, be it the kernel after a SIGKILL, closes it with
    // a reset, so that no peer takes half of an answer for all of it. `Socket::orderly_on_drop` ends
    // this where a connection has ended as it should.
    sockopt::set_socket_linger(socket, Some(Duration::ZERO)).map_err(named("SO_LINGER"))?;
    // A relay has nothing to wait for: what it sends is what somebody else chose to send.
    sockopt::set_tcp_nodelay(socket, true).map_err(named("TCP_NODELAY"))?;
    if let Some(idle) = options.keepalive {
        sockopt::set_socket_keepalive(socket, true).map_err(named("--keepalive"))?;
        sockopt::set_tcp_keepidle(socket, idle).map_err(named("--keepalive"))?;
        sockopt::set_tcp_keepintvl(socket, idle).map_err(named("--keepalive"))?;
        sockopt::set_tcp_keepcnt(socket, PROBES).map_err(named("--keepalive"))?;
    }
    if let Some(timeout) = options.user_timeout {
        let milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(socket, milliseconds).map_err(named("--user-timeout"))?;
    }
    if let Some(name) = &options.congestion {
        sockopt::set_tcp_congestion(socket, name).map_err(named("--congestion"))?;
    }
    set_buffers(socket, options)
}

/// Sets what any stream socket has. Sizes count before a connection stands: they bound the window
/// that the handshake announces.
///
/// # Errors
/// The option that the kernel refuses, by the name of its flag.
pub(crate) fn set_buffers(
    socket: &OwnedFd,
    options: &SocketOptions,
) -> Result<(), (&'static str, Errno)> {
    if let Some(size) = options.rcvbuf {
        sockopt::set_socket_recv_buffer_size(socket.as_fd(), size).map_err(named("--rcvbuf"))?;
    }
    if let Some(size) = options.sndbuf {
        sockopt::set_socket_send_buffer_size(socket.as_fd(), size).map_err(named("--sndbuf"))?;
    }
    Ok(())
}

fn named(flag: &'static str) -> impl Fn(Errno) -> (&'static str, Errno) {
    move |error| (flag, error)
}
