//! What the kernel knows of a connection: `getsockopt(TCP_INFO)` and `ioctl(SIOCOUTQ)`, which
//! neither rustix nor socket2 has. A crate of its own, so that `unsafe` stays forbidden everywhere
//! else.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// A selection of Linux's `struct tcp_info` (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The connection is over: it has failed, or both sides have ended it and know that of each
    /// other.
    pub closed: bool,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rtt_var: Duration,
    /// Segments sent and not yet acknowledged.
    pub unacked: u32,
    /// Segments sent again, since the connection began.
    pub retransmits: u32,
    /// The congestion window, in segments.
    pub congestion_window: u32,
    /// Bytes written and not yet sent. Zero on kernels before 4.6.
    pub notsent: u32,
    /// The most recent rate of delivery to the peer, in bytes per second. Zero on kernels before
    /// 4.9.
    pub delivery_rate: u64,
}

/// Bytes asked for: up to the last field that is read. An older kernel fills less of it.
const SIZE: usize = 168;

/// `TCP_CLOSE` of `include/net/tcp_states.h`, whose numbers `TCP_INFO` has made part of the ABI.
const CLOSED: u8 = 7;

/// Asks the kernel about a connection.
///
/// # Errors
/// What getsockopt(2) fails with: it is no TCP socket, or a sandbox refuses.
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let mut info = [0u8; SIZE];
    let mut length: libc::socklen_t = 168; // SIZE
    // SAFETY: the descriptor is open for the call, since it is borrowed. The kernel writes at most
    // `length` bytes to `info`, which has as many and whose every bit pattern is valid, and the
    // count of those to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // The layout is the kernel's ABI: fields are only ever appended to it.
    Ok(TcpInfo {
        closed: info[0] == CLOSED,
        rtt: Duration::from_micros(u32_at(&info, 68).into()),
        rtt_var: Duration::from_micros(u32_at(&info, 72).into()),
        unacked: u32_at(&info, 24),
        retransmits: u32_at(&info, 100),
        congestion_window: u32_at(&info, 80),
        notsent: u32_at(&info, 144),
        delivery_rate: u64::from_ne_bytes(bytes_at(&info, 160)),
    })
}

/// Bytes in a socket's send queue: written, and not taken by the peer. Of a TCP socket those that the
/// peer's kernel has not acknowledged, a FIN counts as one; a connection that has failed keeps what it
/// had. Of a unix socket the memory, in bytes, that holds what the peer has not read.
///
/// # Errors
/// What ioctl(2) fails with: it is no socket, or a sandbox refuses.
pub fn send_queue(socket: impl AsFd) -> io::Result<usize> {
    let mut queued: libc::c_int = 0;
    // SAFETY: the descriptor is open for the call, since it is borrowed. `SIOCOUTQ`, which has the
    // number of `TIOCOUTQ`, makes the kernel write one int to `queued`; whatever else the descriptor
    // is, the kernel writes no more than that, or nothing.
    let result =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(queued).unwrap_or(0))
}

fn u32_at(info: &[u8; SIZE], offset: usize) -> u32 {
    u32::from_ne_bytes(bytes_at(info, offset))
}

/// The field of `N` bytes at `offset`; all those read here end within `SIZE`.
fn bytes_at<const N: usize>(info: &[u8; SIZE], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| info[offset + index])
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_connection_that_has_moved_bytes_has_a_round_trip_time_and_a_rate() {
        let (mut client, mut server) = pair();
        let mut buffer = vec![0; 1 << 20];
        let writer = std::thread::spawn(move || {
            client.write_all(&[7; 1 << 20]).unwrap();
            client
        });
        server.read_exact(&mut buffer).unwrap();
        let client = writer.join().unwrap();
        let info = tcp_info(&client).unwrap();
        assert!(
            info.rtt > Duration::ZERO && info.rtt < Duration::from_secs(10),
            "{info:?}"
        );
        assert!(info.congestion_window > 0, "{info:?}");
        assert!(info.delivery_rate > 1000, "{info:?}");
    }

    #[test]
    fn bytes_that_nobody_reads_wait_unsent() {
        let (mut client, _server) = pair();
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 65536]).is_ok() {}
        assert!(tcp_info(&client).unwrap().notsent > 0);
    }

    #[test]
    fn what_nobody_acknowledged_is_in_the_send_queue() {
        let (mut client, server) = pair();
        assert_eq!(send_queue(&client).unwrap(), 0);
        client.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = client.write(&[0; 65536]) {
            written += count;
        }
        let queued = send_queue(&client).unwrap();
        assert!(0 < queued && queued <= written, "{queued} of {written}");
        assert_eq!(send_queue(&server).unwrap(), 0);
    }

    #[test]
    fn a_connection_that_was_reset_is_closed_and_keeps_its_send_queue() {
        let (mut client, server) = pair();
        assert!(!tcp_info(&client).unwrap().closed);
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 65536]).is_ok() {}
        drop(server); // with bytes unread: a reset
        while !tcp_info(&client).unwrap().closed {
            std::thread::yield_now();
        }
        assert!(send_queue(&client).unwrap() > 0);
    }

    #[test]
    fn what_is_no_socket_has_no_information() {
        let file = File::open("/dev/null").unwrap();
        assert!(tcp_info(&file).is_err());
        assert!(send_queue(&file).is_err());
    }
}
