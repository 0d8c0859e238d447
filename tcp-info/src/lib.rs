//! What the kernel knows of a TCP connection: `getsockopt(TCP_INFO)`, which neither rustix nor
//! socket2 has. A crate of its own, so that `unsafe` stays forbidden everywhere else.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// A selection of Linux's `struct tcp_info` (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
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
        rtt: Duration::from_micros(u32_at(&info, 68).into()),
        rtt_var: Duration::from_micros(u32_at(&info, 72).into()),
        unacked: u32_at(&info, 24),
        retransmits: u32_at(&info, 100),
        congestion_window: u32_at(&info, 80),
        notsent: u32_at(&info, 144),
        delivery_rate: u64::from_ne_bytes(bytes_at(&info, 160)),
    })
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
    fn what_is_no_socket_has_no_information() {
        assert!(tcp_info(File::open("/dev/null").unwrap()).is_err());
    }
}
